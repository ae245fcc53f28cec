package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"unsafe"
)

// A Codec turns values into bytes and back. Both may be called from several
// goroutines at once.
type Codec interface {
	// Marshal returns v as bytes that nobody else will change.
	Marshal(v any) ([]byte, error)
	// Unmarshal sets what v points to, a zero value, from data. It must not
	// change data and must copy what it keeps of it.
	Unmarshal(data []byte, v any) error
}

// codecOf returns the two halves of the engine's codec. Their errors tell
// what kind of failure it was, never the text of a value.
func codecOf[V any](e *engine) (encode func(V) ([]byte, error), decode func([]byte, *V) error) {
	codec := e.cfg.Codec
	if codec == nil {
		codec = stdJSON{}
	}
	marshal := func(v V) (data []byte, err error) {
		defer recovered(&err)
		return codec.Marshal(v)
	}
	encode = func(v V) ([]byte, error) {
		data, err := marshal(v)
		if err != nil {
			return nil, e.fail("encode", kindOf(err))
		}
		return data, nil
	}
	return encode, func(data []byte, v *V) (err error) {
		defer recovered(&err)
		return codec.Unmarshal(data, v)
	}
}

// recovered makes a codec's panic an error: one bad value in Redis must not
// fail every request that reads it.
func recovered(err *error) {
	if value := recover(); value != nil {
		*err = &PanicError{value, debug.Stack()}
	}
}

type stdJSON struct{}

func (stdJSON) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (stdJSON) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// kindOf describes a codec's error without the data that it quotes.
func kindOf(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	var panicked *PanicError
	switch {
	case errors.As(err, &panicked):
		return fmt.Errorf("%w: %w", ErrCodec, panicked)
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: a syntax error at byte %d", ErrCodec, syntax.Offset)
	case errors.As(err, &mismatch):
		return fmt.Errorf("%w: a value that does not fit %v at byte %d", ErrCodec, mismatch.Type, mismatch.Offset)
	default:
		return fmt.Errorf("%w: %T", ErrCodec, err)
	}
}

// bytesOf is s without a copy, for readers only: the codec's contract.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
