package cache

import (
	"errors"
	"fmt"
	"runtime/debug"
	"unsafe"

	"github.com/convkit/rediskit/internal/jsoncodec"
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

// codecOf returns the two halves of the engine's codec. The error of the
// first tells what kind of failure it was, never the text of a value.
func codecOf[V any](e *engine) (func(V) ([]byte, error), func([]byte, *V) error) {
	json := jsoncodec.For[V]()
	marshal, unmarshal := json.Encode, func(data []byte, v *V) (err error) {
		*v, err = json.Decode(data)
		return err
	}
	if custom := e.cfg.Codec; custom != nil {
		marshal = func(v V) ([]byte, error) { return custom.Marshal(v) }
		unmarshal = func(data []byte, v *V) error { return custom.Unmarshal(data, v) }
	}
	encode := func(v V) (data []byte, err error) {
		defer func() {
			if err != nil {
				err = e.report.Fail("encode", kindOf(err))
			}
		}()
		defer recovered(&err)
		return marshal(v)
	}
	decode := func(data []byte, v *V) (err error) {
		defer recovered(&err)
		return unmarshal(data, v)
	}
	return encode, decode
}

// recovered makes a codec's panic an error: one bad value in Redis must not
// fail every request that reads it.
func recovered(err *error) {
	if value := recover(); value != nil {
		*err = &PanicError{value, debug.Stack()}
	}
}

// kindOf describes a codec's error without the data that it quotes.
func kindOf(err error) error {
	var panicked *PanicError
	if errors.As(err, &panicked) {
		return fmt.Errorf("%w: %w", ErrCodec, panicked)
	}
	return fmt.Errorf("%w: %s", ErrCodec, jsoncodec.Kind(err))
}

// bytesOf is s without a copy, for readers only: the codec's contract.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
