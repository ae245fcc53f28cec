// Package hashcodec turns a struct into the fields of a Redis hash and back. It uses the
// plain text that services in other languages read and write.
//
//	string, named or not   unchanged
//	integers               decimal
//	floats                 the shortest decimal that reads back exactly, NaN, Infinity
//	bool                   true, false
//	time.Time              Unix milliseconds, as of Date.now(); the zero time is an absent field
//	time.Duration          whole milliseconds
//	[]byte                 unchanged
//	encoding.TextMarshaler and TextUnmarshaler together: what they write
//	a pointer to these     nil is an absent field
//
// A struct field whose hash field is absent keeps its zero value. The fields of an
// embedded struct belong to the outer struct.
//
// The codec of go-redis is not enough: it writes time.Time as RFC 3339, refuses
// named strings, drops embedded structs, writes a nil *int64 as "0", and reads
// a missing hash as a zero struct.
package hashcodec

import (
	"fmt"
	"reflect"
)

// A Codec encodes and decodes S. It reads the tags of S once, in New.
type Codec[S any] struct {
	fields []Field
}

// A Field is one field of S that has a place in the hash.
type Field struct {
	Name  string // in the hash
	Go    string // in S, with the names of the structs around it
	Touch bool   // tagged ",touch": the caller of the codec writes its text
	Type  reflect.Type

	index               []int // from S, through embedded structs
	required, omitempty bool
	coder
}

// A Text is the text of a field in the hash, if it is present.
type Text struct {
	Value   string
	Present bool
}

// An Error says what is wrong with a field. It never carries a value.
type Error struct{ Field, Reason string }

func (e *Error) Error() string { return "field " + e.Field + " " + e.Reason }

// New plans the codec of S, a struct whose exported fields all have a tag:
//
//	`redis:"name"`            its name in the hash
//	`redis:"name,required"`   a hash without it is an error, in both directions
//	`redis:"name,omitempty"`  a zero value is an absent field
//	`redis:"name,touch"`      a time that the caller of the codec keeps, at most one
//	`redis:"-"`               not in the hash
//
// A field that cannot be stored without loss is an error that names the field, so that
// it is found when the program starts. reserved is a name that no field may have.
func New[S any](reserved string) (*Codec[S], error) {
	t := reflect.TypeFor[S]()
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v is no struct; a hash has fields", t)
	}
	p := planner{taken: map[string]string{reserved: "the library"}}
	if err := p.walk(t, "", nil); err != nil {
		return nil, err
	}
	for _, f := range p.fields {
		if !f.Touch {
			return &Codec[S]{p.fields}, nil
		}
	}
	return nil, fmt.Errorf("%v has no field that says anything; tag some as `redis:\"name\"`", t)
}

// Fields returns the fields of S in the order of their declaration.
func (c *Codec[S]) Fields() []Field { return c.fields }

// Encode returns the texts of s, in the order of Fields. A touch field has no text.
func (c *Codec[S]) Encode(s *S) ([]Text, error) {
	v := reflect.ValueOf(s).Elem()
	texts := make([]Text, len(c.fields))
	for i := range c.fields {
		f := &c.fields[i]
		if f.Touch {
			continue
		}
		text, err := f.Text(f.of(v))
		if err != nil {
			return nil, err
		}
		if f.required && !text.Present {
			return nil, &Error{f.Go, "is required and has no value"}
		}
		texts[i] = text
	}
	return texts, nil
}

// Decode reads hash into s, which must be zero. It ignores fields of the hash that S
// does not have.
func (c *Codec[S]) Decode(hash map[string]string, s *S) error {
	v := reflect.ValueOf(s).Elem()
	for i := range c.fields {
		f := &c.fields[i]
		text, present := hash[f.Name]
		if !present && f.required {
			return &Error{f.Go, "is required and missing"}
		}
		if present {
			if err := f.Parse(text, f.of(v)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Text returns the text of v, a value of the field's type that can be addressed.
func (f *Field) Text(v reflect.Value) (Text, error) {
	if f.absent(v) || f.omitempty && empty(v) {
		return Text{}, nil
	}
	text, reason := f.format(v)
	if reason != "" {
		return Text{}, &Error{f.Go, reason}
	}
	return Text{text, true}, nil
}

// Parse reads a text into v, a value of the field's type that can be set.
func (f *Field) Parse(text string, v reflect.Value) error {
	if !f.parse(text, v) {
		return &Error{f.Go, "has a text that is no " + f.Type.String()}
	}
	return nil
}

// Always reports whether every value of the field has a text.
func (f *Field) Always() bool { return f.always && !f.omitempty }

func (f *Field) of(v reflect.Value) reflect.Value {
	for _, i := range f.index {
		v = v.Field(i)
	}
	return v
}

func empty(v reflect.Value) bool {
	if v.Kind() == reflect.Slice {
		return v.Len() == 0
	}
	return v.IsZero()
}
