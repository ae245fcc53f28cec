package ratelimit

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Whatever the policy and the decision, both header fields are Lists of RFC 9651, and a
// client reads the numbers of the Result.
func FuzzBothHeaderFieldsAreLists(f *testing.F) {
	for i, name := range []string{"default", `a"b`, `a\`, `";q=9`, `\"`, " ", "~", "é", "", "a, b"} {
		f.Add(name, uint8(i), i+1, int64(i)*int64(time.Minute)+int64(time.Second), i+1, i, int64(time.Hour)*int64(i), int64(i))
		f.Add(name, uint8(i), int(maxLimit), int64(maxPer), int(maxLimit), int(maxLimit), int64(maxPer)+1, int64(time.Millisecond))
	}
	f.Fuzz(func(t *testing.T, name string, kind uint8, n int, per int64, burst, remaining int, reset, retry int64) {
		p := []Policy{
			FixedWindow(n, time.Duration(per)), SlidingWindow(n, time.Duration(per)), GCRA(n, time.Duration(per), burst),
		}[kind%3]
		if kind&4 == 0 {
			p = p.Named(name)
		}
		if p.check() != nil || remaining < 0 || reset < 0 || retry < 0 || reset > int64(11*maxPer) || retry > int64(11*maxPer) {
			return // no Limiter returns this
		}
		items, err := readList(policyField([]Policy{p, PerHour(7)}))
		if err != nil || len(items) != 2 || items[0].text != p.String() || items[1].text != "7 per 1h" {
			t.Fatalf("%q: %+v, %v", policyField([]Policy{p, PerHour(7)}), items, err)
		}
		if q := items[0].params["q"]; q != int64(p.limit()) {
			t.Errorf("%v: q=%d", p, q)
		}
		if w, ok := items[0].params["w"]; ok && (w < 1 || time.Duration(w)*time.Second != p.window()) {
			t.Errorf("%v: w=%d, want %v", p, w, p.window())
		}
		res := Result{Allowed: kind&8 == 0, Policy: p, Limit: p.limit(), Remaining: remaining, RetryAfter: time.Duration(retry), ResetAfter: time.Duration(reset)}
		items, err = readList(limitField(res))
		if err != nil || len(items) != 1 || items[0].text != p.String() || items[0].params["r"] != int64(remaining) {
			t.Fatalf("%q: %+v, %v", limitField(res), items, err)
		}
		wait := res.ResetAfter
		if !res.Allowed {
			wait = res.RetryAfter
		}
		if sent := time.Duration(items[0].params["t"]) * time.Second; sent < wait || sent >= wait+time.Second {
			t.Errorf("t is %v for %v", sent, wait)
		}
	})
}

// An item is a String with Integers as its parameters.
type item struct {
	text   string
	params map[string]int64
}

var errNotList = errors.New("not a List of Strings with Integers")

// readList reads a List as strictly as RFC 9651, section 4.2.1, does.
func readList(field string) (items []item, err error) {
	for {
		var it item
		if it.text, field, err = readString(field); err != nil {
			return nil, err
		}
		it.params = map[string]int64{}
		for strings.HasPrefix(field, ";") {
			name, rest, ok := strings.Cut(field[1:], "=")
			digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
			if !ok || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz") != "" || digits == 0 || digits > 15 {
				return nil, errNotList
			}
			it.params[name], _ = strconv.ParseInt(rest[:digits], 10, 64)
			field = rest[digits:]
		}
		items = append(items, it)
		if field == "" {
			return items, nil
		}
		var more bool
		if field, more = strings.CutPrefix(field, ", "); !more {
			return nil, errNotList
		}
	}
}

// readString reads a String as RFC 9651, section 4.2.5, does.
func readString(field string) (value, rest string, err error) {
	if !strings.HasPrefix(field, `"`) {
		return "", "", errNotList
	}
	for i := 1; i < len(field); i++ {
		switch c := field[i]; {
		case c == '\\':
			i++
			if i == len(field) || field[i] != '"' && field[i] != '\\' {
				return "", "", errNotList
			}
		case c == '"':
			return value, field[i+1:], nil
		case c < ' ' || c > '~':
			return "", "", errNotList
		}
		value += field[i : i+1]
	}
	return "", "", errNotList
}
