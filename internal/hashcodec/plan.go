package hashcodec

import (
	"reflect"
	"slices"
	"strings"
)

// A planner collects the fields of a struct.
type planner struct {
	fields []Field
	taken  map[string]string // names in the hash, and the fields that have them
	touch  string            // the field that is tagged ",touch"
}

func (p *planner) walk(t reflect.Type, path string, index []int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("redis")
		field := Field{Go: path + f.Name, Type: f.Type, index: append(slices.Clone(index), i)}
		var err error
		switch {
		case tag == "-":
		case f.Anonymous && !tagged:
			err = p.embed(field)
		case !f.IsExported() && tagged:
			err = &Error{field.Go, "is not exported; export it, or remove its redis tag"}
		case !f.IsExported():
		case !tagged:
			err = &Error{field.Go, "has no redis tag; give it a name, or \"-\" to leave it out"}
		default:
			err = p.add(field, tag)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// embed adds the fields of an embedded struct.
func (p *planner) embed(f Field) error {
	if _, ok := coderOf(f.Type); ok {
		return &Error{f.Go, "is embedded and has a text of its own; give it a redis tag with a name"}
	}
	if f.Type.Kind() != reflect.Struct {
		return &Error{f.Go, "is embedded but no struct; embed a struct itself, or give the field a name"}
	}
	return p.walk(f.Type, f.Go+".", f.index)
}

func (p *planner) add(f Field, tag string) error {
	name, options, _ := strings.Cut(tag, ",")
	if name == "" {
		return &Error{f.Go, "has a redis tag without a name"}
	}
	if other, taken := p.taken[name]; taken {
		return &Error{f.Go, "has the same name in the hash as " + other}
	}
	f.Name = name
	p.taken[name] = f.Go
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "":
		case "required":
			f.required = true
		case "omitempty":
			f.omitempty = true
		case "touch":
			f.Touch = true
		default:
			return &Error{f.Go, "has an unknown option in its redis tag; there are required, omitempty and touch"}
		}
	}
	if f.required && f.omitempty {
		return &Error{f.Go, "cannot be both required and omitempty"}
	}
	if f.Touch {
		if f.Type != timeType || f.omitempty {
			return &Error{f.Go, "is tagged touch; it must be a plain time.Time"}
		}
		if p.touch != "" {
			return &Error{f.Go, "is tagged touch, as is " + p.touch + "; there can be one"}
		}
		p.touch = f.Go
	}
	var ok bool
	if f.coder, ok = coderOf(f.Type); !ok {
		return &Error{f.Go, "is a " + f.Type.String() + ", which has no text in a hash; give it MarshalText and UnmarshalText, or the tag \"-\""}
	}
	p.fields = append(p.fields, f)
	return nil
}
