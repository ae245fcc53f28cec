package jsoncodec

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"unicode"
)

var (
	jsonUnmarshaler = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// agrees reports whether go-json decodes every input that it accepts for t as
// encoding/json does. The types that agrees rejects were found by comparing the two
// libraries with fuzzing, or go-json itself records them. In doubt it rejects, which
// costs only speed. seen holds the types whose inspection has begun.
func agrees(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return true
	}
	seen[t] = true

	ptr := reflect.PointerTo(t)
	if _, has := ptr.MethodByName("UnmarshalJSONFrom"); has {
		return false // whether it is called depends on the library and its version
	}
	if ptr.Implements(jsonUnmarshaler) {
		return true
	}
	if _, has := ptr.MethodByName("UnmarshalJSON"); has {
		return false // go-json also calls the one that takes a context
	}
	if ptr.Implements(textUnmarshaler) {
		return true
	}

	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Interface, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	case reflect.Slice:
		// Not bytes: with go-json, null keeps what a repeated name wrote before.
		return t.Elem().Kind() != reflect.Uint8 && agrees(t.Elem(), seen)
	case reflect.Pointer, reflect.Array:
		return agrees(t.Elem(), seen)
	case reflect.Map:
		return keyAgrees(t.Key()) && agrees(t.Elem(), seen)
	case reflect.Struct:
		return structAgrees(t, seen)
	default:
		// Float32: go-json rounds twice, first to float64. encoding/json refuses
		// the other kinds.
		return false
	}
}

// keyAgrees rejects the kinds of map key that encoding/json refuses: go-json accepts an
// empty object for them.
func keyAgrees(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return t.Kind() != reflect.Pointer
	}
	switch t.Kind() {
	case reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return true
	default:
		return false
	}
}

func structAgrees(t reflect.Type, seen map[reflect.Type]bool) bool {
	names := map[string]bool{}
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		if tag == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		if f.Anonymous && f.Type.Kind() == reflect.Pointer {
			return false // go-json can miss that it points to an unexported struct
		}
		name, options, _ := strings.Cut(tag, ",")
		for option := range strings.SplitSeq(options, ",") {
			switch option {
			case "", "omitempty", "omitzero":
			default:
				return false // "string": go-json accepts "+1" for some numbers
			}
		}
		if !agrees(f.Type, seen) {
			return false
		}
		if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
			continue // its fields follow
		}
		if name == "" {
			name = f.Name
		}
		// If names of fields differ only in case, or shadow each other, and some
		// fields are embedded, go-json can choose another field.
		if name = fold(name); names[name] {
			return false
		}
		names[name] = true
	}
	return true
}

// fold returns the same string for all strings that strings.EqualFold equates.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			least = min(least, other)
		}
		return least
	}, s)
}
