package cache

import (
	"encoding/json"
	"errors"
	"fmt"
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
	encode, decode := json.Encode, func(data []byte, v *V) (err error) {
		*v, err = json.Decode(data)
		return err
	}
	if custom := e.cfg.Codec; custom != nil {
		encode = func(v V) ([]byte, error) { return custom.Marshal(v) }
		decode = func(data []byte, v *V) error { return custom.Unmarshal(data, v) }
	}
	return func(v V) ([]byte, error) {
		data, err := encode(v)
		if err != nil {
			return nil, e.fail("encode", fmt.Errorf("%w: %T", ErrCodec, err))
		}
		return data, nil
	}, decode
}

// kindOf describes a decoder's error without the input that it quotes.
func kindOf(err error) error {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
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
