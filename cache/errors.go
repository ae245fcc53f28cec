package cache

import "errors"

var (
	// ErrMiss is returned by Get for an id that has no value in the cache.
	ErrMiss = errors.New("cache: miss")

	// ErrNotFound is what a loader returns, wrapped or not, for an id that
	// does not exist, and what GetOrLoad then returns. With NegativeTTL it
	// is remembered.
	ErrNotFound = errors.New("cache: not found")

	// ErrEmptyID is returned for an empty id, before anything is sent.
	ErrEmptyID = errors.New("cache: empty id")

	// ErrTooLarge is returned by Set for a value of more than
	// Config.MaxValueBytes encoded bytes, before anything is sent.
	ErrTooLarge = errors.New("cache: value too large")

	// ErrCodec is returned when a value cannot be encoded, or when what the
	// codec encoded cannot be decoded again.
	ErrCodec = errors.New("cache: codec failed")

	// ErrLoadTimeout is returned when a loader has not answered within
	// Config.LoadTimeout.
	ErrLoadTimeout = errors.New("cache: loader timed out")

	// ErrLoaderExited is returned when a loader ended its goroutine with
	// runtime.Goexit, as t.FailNow does.
	ErrLoaderExited = errors.New("cache: loader called runtime.Goexit")

	// ErrRefused is told to Config.OnError, never returned: a loaded value
	// was not stored, because it was deleted, written or its lease expired
	// meanwhile. The fill was right to give way; who only wants failures
	// leaves it out.
	ErrRefused = errors.New("cache: a newer Delete or write kept a loaded value out")

	// ErrClosed is returned after Close, and to callers that Close found
	// waiting.
	ErrClosed = errors.New("cache: closed")
)

// A PanicError is returned when a loader or a codec panicked: to every
// caller that waited for it, instead of a crash in a goroutine that none of
// them owns. A value whose decoding panics is a miss; Config.OnError is told.
type PanicError struct {
	// Value is what was passed to panic. It may hold anything, so it is not
	// part of the error's text.
	Value any
	// Stack is the stack of the goroutine that panicked.
	Stack []byte
}

func (e *PanicError) Error() string {
	return "a loader or codec panicked; PanicError.Value and PanicError.Stack say where"
}
