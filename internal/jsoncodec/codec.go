package jsoncodec

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	gojson "github.com/goccy/go-json"
)

// Codec encodes and decodes values of type V. The zero Codec is valid and uses only
// encoding/json; For returns the fast Codec. It is safe for concurrent use.
type Codec[V any] struct {
	fast bool
}

// For returns the codec for V. It inspects the type, so a caller should keep the result
// and not call For for each value.
func For[V any]() Codec[V] {
	return Codec[V]{fast: agrees(reflect.TypeFor[V](), map[reflect.Type]bool{})}
}

// Encode returns exactly what json.Marshal returns for v.
func (Codec[V]) Encode(v V) ([]byte, error) {
	return json.Marshal(v)
}

// Decode returns the value that json.Unmarshal stores for data in a zero V, or
// the zero V and the error of json.Unmarshal, whose text may quote data.
//
// It does not write to data. Strings in the value refer to data. So data must never
// change, and it stays in memory as long as one of these strings. No slice refers to
// data, unless an UnmarshalJSON or UnmarshalText method of V keeps the bytes that it
// receives, which their documentation forbids.
//
// If the first attempt to decode fails, such a method runs a second time, on a new
// value. If it panics then, Decode panics, as json.Unmarshal does.
func (c Codec[V]) Decode(data []byte) (V, error) {
	if c.fast {
		if v, ok := decodeFast[V](data); ok && !repeatsAroundEmpty(data) {
			return v, nil
		}
	}
	var v V
	if err := json.Unmarshal(data, &v); err != nil {
		var zero V
		return zero, err
	}
	return v, nil
}

// noCopy makes strings refer to the data. Otherwise each string is a copy.
var noCopy = gojson.DecodeNoCopyString()

func decodeFast[V any](data []byte) (v V, ok bool) {
	// A panic, of go-json or of a method of V, counts as a refusal: encoding/json
	// decodes again.
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	err := gojson.UnmarshalOf(data, &v, noCopy)
	return v, err == nil
}

// Kind describes an error of Encode or Decode without the data that it quotes.
func Kind(err error) string {
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("a syntax error at byte %d", syntax.Offset)
	case errors.As(err, &mismatch):
		return fmt.Sprintf("a value that does not fit %v at byte %d", mismatch.Type, mismatch.Offset)
	default:
		return fmt.Sprintf("%T", err)
	}
}
