package cache

import (
	"errors"
	"fmt"

	"github.com/convkit/rediskit/internal/life"
)

var (
	// ErrMiss is returned by Get for an id that has no value in the cache.
	ErrMiss = errors.New("cache: miss")

	// ErrNotFound is what a loader returns, wrapped or not, for an id that does
	// not exist. GetOrLoad then returns it too. With NegativeTTL it is remembered.
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
	// runtime.Goexit, as t.FailNow does, or when Config.OnError or a codec ended it
	// so, or by a panic of OnError.
	ErrLoaderExited = errors.New("cache: loader called runtime.Goexit")

	// ErrRefused is passed to Config.OnError and never returned: a loaded value
	// was not stored, because the value was deleted or written, or its lease
	// expired, meanwhile. That is no failure: the newer write counts. An OnError
	// that wants failures only leaves it out.
	ErrRefused = errors.New("cache: a newer Delete or write kept a loaded value out")

	// ErrClosed is returned by every call after Close, and to callers that wait
	// while Close is called.
	ErrClosed = errors.New("cache: closed")
)

// A PanicError is returned when a loader or a codec panicked. Every caller that
// waited for it gets one, instead of a crash in a goroutine that none of them owns.
// A value whose decoding panics is a miss; Config.OnError receives the error.
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

// SafeText marks the text as free of data, for the errors that wrap this one.
func (*PanicError) SafeText() {}

// Format writes the text, and the stack after it for %+v.
func (e *PanicError) Format(f fmt.State, verb rune) { life.Format(f, verb, e.Error(), e.Stack) }
