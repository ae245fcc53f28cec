package hashcodec

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
)

// A coder writes and reads one type.
type coder struct {
	format func(v reflect.Value) (text, reason string) // reason, if any, is why there is no text
	parse  func(text string, v reflect.Value) bool
	absent func(v reflect.Value) bool
	always bool // absent is never true
}

var (
	timeType        = reflect.TypeFor[time.Time]()
	durationType    = reflect.TypeFor[time.Duration]()
	marshalerType   = reflect.TypeFor[encoding.TextMarshaler]()
	unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// coderOf returns the coder of t, which may be a pointer.
func coderOf(t reflect.Type) (coder, bool) {
	if t.Kind() != reflect.Pointer {
		return valueCoder(t)
	}
	elem, ok := valueCoder(t.Elem())
	return coder{
		// A pointer that is not nil is present, even if it points to a zero time.
		format: func(v reflect.Value) (string, string) { return elem.format(v.Elem()) },
		parse: func(text string, v reflect.Value) bool {
			p := reflect.New(t.Elem())
			if !elem.parse(text, p.Elem()) {
				return false
			}
			v.Set(p)
			return true
		},
		absent: reflect.Value.IsNil,
	}, ok
}

func valueCoder(t reflect.Type) (coder, bool) {
	c := coder{absent: func(reflect.Value) bool { return false }, always: true}
	pointer := reflect.PointerTo(t)
	switch kind := t.Kind(); {
	case t == timeType:
		return coder{
			format: formatTime,
			parse:  parseTime,
			absent: func(v reflect.Value) bool { return timeOf(v).IsZero() },
		}, true
	case t == durationType:
		c.format = func(v reflect.Value) (string, string) {
			return strconv.FormatInt(time.Duration(v.Int()).Milliseconds(), 10), ""
		}
		c.parse = parseDuration
	case pointer.Implements(marshalerType) && pointer.Implements(unmarshalerType):
		c.format, c.parse = formatText, parseText
	case pointer.Implements(marshalerType) || pointer.Implements(unmarshalerType):
		return coder{}, false // it could be written but not read, or read but not written
	case kind == reflect.String:
		c.format = func(v reflect.Value) (string, string) { return v.String(), "" }
		c.parse = func(text string, v reflect.Value) bool {
			v.SetString(text)
			return true
		}
	case kind >= reflect.Int && kind <= reflect.Int64:
		c.format = func(v reflect.Value) (string, string) { return strconv.FormatInt(v.Int(), 10), "" }
		c.parse = func(text string, v reflect.Value) bool {
			n, err := strconv.ParseInt(text, 10, t.Bits())
			v.SetInt(n)
			return err == nil
		}
	case kind >= reflect.Uint && kind <= reflect.Uint64:
		c.format = func(v reflect.Value) (string, string) { return strconv.FormatUint(v.Uint(), 10), "" }
		c.parse = func(text string, v reflect.Value) bool {
			n, err := strconv.ParseUint(text, 10, t.Bits())
			v.SetUint(n)
			return err == nil
		}
	case kind == reflect.Float32 || kind == reflect.Float64:
		c.format = func(v reflect.Value) (string, string) { return formatFloat(v.Float(), t.Bits()), "" }
		c.parse = func(text string, v reflect.Value) bool {
			x, err := strconv.ParseFloat(text, t.Bits())
			v.SetFloat(x)
			return err == nil
		}
	case kind == reflect.Bool:
		c.format = func(v reflect.Value) (string, string) { return strconv.FormatBool(v.Bool()), "" }
		c.parse = func(text string, v reflect.Value) bool {
			b, err := strconv.ParseBool(text)
			v.SetBool(b)
			return err == nil
		}
	case kind == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		c.format = func(v reflect.Value) (string, string) { return string(v.Bytes()), "" }
		c.parse = func(text string, v reflect.Value) bool {
			v.SetBytes([]byte(text))
			return true
		}
	default:
		return coder{}, false
	}
	return c, true
}

// formatFloat writes infinities in the form that JavaScript reads.
func formatFloat(x float64, bits int) string {
	switch {
	case math.IsInf(x, 1):
		return "Infinity"
	case math.IsInf(x, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(x, 'g', -1, bits)
}

// maxMillis is the greatest distance from 1970 of a JavaScript Date, in milliseconds.
const maxMillis = 8.64e15

func timeOf(v reflect.Value) *time.Time { return v.Addr().Interface().(*time.Time) }

func formatTime(v reflect.Value) (text, reason string) {
	t := timeOf(v)
	if s := t.Unix(); s < -maxMillis/1000 || s >= maxMillis/1000 {
		return "", "is too far from 1970 to be written in milliseconds"
	}
	return strconv.FormatInt(t.UnixMilli(), 10), ""
}

func parseTime(text string, v reflect.Value) bool {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < -maxMillis || ms >= maxMillis {
		return false
	}
	*timeOf(v) = time.UnixMilli(ms).UTC()
	return true
}

func parseDuration(text string, v reflect.Value) bool {
	const most = math.MaxInt64 / int64(time.Millisecond)
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms < -most || ms > most {
		return false
	}
	v.SetInt(ms * int64(time.Millisecond))
	return true
}

// formatText and parseText call methods of the caller. Errors and panic values of these
// methods may quote the value, so they are not passed on.
func formatText(v reflect.Value) (text, reason string) {
	defer func() {
		if recover() != nil {
			text, reason = "", "has a MarshalText that panicked"
		}
	}()
	b, err := v.Addr().Interface().(encoding.TextMarshaler).MarshalText()
	if err != nil {
		return "", fmt.Sprintf("has a MarshalText that failed (%T)", err)
	}
	return string(b), ""
}

func parseText(text string, v reflect.Value) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)) == nil
}
