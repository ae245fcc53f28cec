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

// A codec turns values of one type into bytes and back. Its errors say what kind of
// failure it was, never the text of a value. A panic of Config.Codec is an error: one
// bad value in Redis must not fail every request that reads it.
type codec[V any] struct {
	marshal   func(V) ([]byte, error)
	unmarshal func([]byte) (V, error)
}

// codecOf returns the codec that custom describes, JSON if it is nil.
func codecOf[V any](custom Codec) codec[V] {
	if custom == nil {
		json := jsoncodec.For[V]()
		return codec[V]{json.Encode, json.Decode}
	}
	return codec[V]{
		marshal: func(v V) ([]byte, error) { return custom.Marshal(v) },
		unmarshal: func(data []byte) (v V, err error) {
			err = custom.Unmarshal(data, &v)
			return v, err
		},
	}
}

func (c codec[V]) encode(v V) (data []byte, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{value, debug.Stack()}
		}
		if err != nil {
			err = kindOf(err)
		}
	}()
	return c.marshal(v)
}

// decode returns the zero value beside an error, though a decoder may have set a part.
func (c codec[V]) decode(data string) (v V, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &PanicError{value, debug.Stack()}
		}
		if err != nil {
			v, err = *new(V), kindOf(err)
		}
	}()
	return c.unmarshal(bytesOf(data))
}

// check returns why data is no value of the cache.
func (c codec[V]) check(data string) error {
	_, err := c.decode(data)
	return err
}

// recode returns data as encode would have written it.
func (c codec[V]) recode(data string) ([]byte, error) {
	v, err := c.decode(data)
	if err != nil {
		return nil, err
	}
	return c.encode(v)
}

// kindOf describes a codec's error without the data that it quotes.
func kindOf(err error) error {
	var panicked *PanicError
	if errors.As(err, &panicked) {
		return fmt.Errorf("%w: %w", ErrCodec, panicked)
	}
	return fmt.Errorf("%w: %s", ErrCodec, jsoncodec.Kind(err))
}

// bytesOf is s without a copy. Nobody may change it: a Codec promises that.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// stringOf is b without a copy. Nobody may change b from then on.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
