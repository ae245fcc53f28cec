package hashcodec_test

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/hashcodec"
)

type (
	state  string
	level  int8
	ratio  float32
	digest []byte
	flag   bool
)

// An each has a field of each kind.
type each struct {
	Text     string        `redis:"text"`
	State    state         `redis:"state"`
	Int      int           `redis:"int"`
	Level    level         `redis:"level"`
	Big      int64         `redis:"big"`
	Uint     uint64        `redis:"uint"`
	Byte     uint8         `redis:"byte"`
	Float    float64       `redis:"float"`
	Ratio    ratio         `redis:"ratio"`
	Bool     bool          `redis:"bool"`
	Flag     flag          `redis:"flag"`
	At       time.Time     `redis:"at"`
	For      time.Duration `redis:"for"`
	Bytes    []byte        `redis:"bytes"`
	Digest   digest        `redis:"digest"`
	Addr     netip.Addr    `redis:"addr"`
	Note     *string       `redis:"note"`
	Count    *int64        `redis:"count"`
	Until    *time.Time    `redis:"until"`
	Peer     *netip.Addr   `redis:"peer"`
	Optional int           `redis:"optional,omitempty"`
	Origin
	left int
	Out  map[string]int `redis:"-"`
}

type Origin struct {
	Host string `redis:"host"`
	place
}

type place struct {
	City string `redis:"city"`
}

func codec[S any](t testing.TB) *hashcodec.Codec[S] {
	t.Helper()
	c, err := hashcodec.New[S]("_until")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// encoded returns the hash of s.
func encoded[S any](t testing.TB, c *hashcodec.Codec[S], s S) map[string]string {
	t.Helper()
	texts, err := c.Encode(&s)
	if err != nil {
		t.Fatal(err)
	}
	hash := map[string]string{}
	for i, f := range c.Fields() {
		if texts[i].Present {
			hash[f.Name] = texts[i].Value
		}
	}
	return hash
}

func TestTextsAreThoseThatOtherLanguagesWrite(t *testing.T) {
	t.Parallel()
	note, count, zero := "", int64(0), time.Time{}
	at := time.Date(2026, 3, 14, 9, 26, 53, 589_999_999, time.FixedZone("", 3600))
	s := each{
		Text: "a\x00ü\xff", State: "waiting", Int: -7, Level: math.MinInt8, Big: math.MinInt64, Uint: math.MaxUint64, Byte: 255,
		Float: 0.1, Ratio: 0.1, Bool: true, At: at, For: 1500*time.Microsecond + time.Second, Bytes: []byte("\xfe"), Digest: digest("d"),
		Addr: netip.MustParseAddr("::1"), Note: &note, Count: &count, Until: &zero,
		Origin: Origin{"host", place{"city"}}, left: 1, Out: map[string]int{"a": 1},
	}
	want := map[string]string{
		"text": "a\x00ü\xff", "state": "waiting", "int": "-7", "level": "-128", "big": "-9223372036854775808", "uint": "18446744073709551615",
		"byte": "255", "float": "0.1", "ratio": "0.1", "bool": "true", "flag": "false", "at": "1773476813589", "for": "1001",
		"bytes": "\xfe", "digest": "d", "addr": "::1", "note": "", "count": "0", "until": "-62135596800000", "host": "host", "city": "city",
	}
	c := codec[each](t)
	got := encoded(t, c, s)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}

	s.At, s.For, s.left, s.Out = at.Truncate(time.Millisecond).UTC(), 1001*time.Millisecond, 0, nil
	var back each
	if err := c.Decode(got, &back); err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("read back %+v, %v\nwant %+v", back, err, s)
	}
}

func TestOnlyZeroTimesNilPointersAndOmitemptyAreAbsent(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"text": "", "state": "", "int": "0", "level": "0", "big": "0", "uint": "0", "byte": "0", "float": "0", "ratio": "0",
		"bool": "false", "flag": "false", "for": "0", "bytes": "", "digest": "", "addr": "", "host": "", "city": "",
	}
	c := codec[each](t)
	if got := encoded(t, c, each{}); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	var back each
	if err := c.Decode(nil, &back); err != nil || !reflect.DeepEqual(back, each{}) {
		t.Errorf("an empty hash: %+v, %v", back, err)
	}
}

func TestFloatsReadAsJavaScriptWritesThem(t *testing.T) {
	t.Parallel()
	type one struct {
		X float64 `redis:"x"`
	}
	c := codec[one](t)
	for text, x := range map[string]float64{
		"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1), "1e+21": 1e21, "-0": math.Copysign(0, -1),
		"5e-324": math.SmallestNonzeroFloat64, "1.7976931348623157e+308": math.MaxFloat64, "9007199254740993": 1<<53 + 1,
	} {
		var s one
		if err := c.Decode(map[string]string{"x": text}, &s); err != nil || math.Float64bits(s.X) != math.Float64bits(x) && x == x {
			t.Errorf("%s = %v, %v", text, s.X, err)
		}
		if got := encoded(t, c, one{x}); got["x"] != text && text != "9007199254740993" {
			t.Errorf("%v is written %q, want %q", x, got["x"], text)
		}
	}
}

func TestErrorsOfDecodeNameTheFieldAndNoValue(t *testing.T) {
	t.Parallel()
	c := codec[each](t)
	for field, texts := range map[string][]string{
		"Int": {"", "canary", "1.5", "1e3", " 1", "0x1", "9223372036854775808"}, "Level": {"128", "-129"}, "Byte": {"-1", "256"},
		"Uint": {"-1", "18446744073709551616"}, "Float": {"", "canary", "1e999"}, "Ratio": {"1e39"}, "Bool": {"", "yes", "canary"},
		"At": {"", "canary", "1.5", "8640000000000000", "-8640000000000001", "2026-03-14T09:26:53Z"}, "For": {"9223372036855", "1s"},
		"Addr": {"canary"}, "Count": {"canary"}, "Until": {"canary"}, "Peer": {"canary"},
	} {
		for _, text := range texts {
			name := strings.ToLower(field)
			err := c.Decode(map[string]string{name: text}, new(each))
			var wrong *hashcodec.Error
			if !errors.As(err, &wrong) || wrong.Field != field {
				t.Errorf("%s %q: %v", name, text, err)
			} else if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows the value: %v", err)
			}
		}
	}
}

func TestRequiredFieldsAreRequiredInBothDirections(t *testing.T) {
	t.Parallel()
	type order struct {
		ID   string    `redis:"id,required"`
		At   time.Time `redis:"at,required"`
		Note *string   `redis:"note,required"`
		Last time.Time `redis:"last,touch,required"`
	}
	c, note := codec[order](t), ""
	whole := map[string]string{"id": "", "at": "1", "note": "", "last": "2"}
	if err := c.Decode(whole, new(order)); err != nil {
		t.Error(err)
	}
	for name := range whole {
		hash := map[string]string{}
		for other, text := range whole {
			if other != name {
				hash[other] = text
			}
		}
		if err := c.Decode(hash, new(order)); err == nil {
			t.Errorf("a hash without %s is taken", name)
		}
	}
	if _, err := c.Encode(&order{At: time.UnixMilli(1), Note: &note}); err != nil {
		t.Errorf("the touch field is not the encoder's: %v", err)
	}
	for _, s := range []order{{Note: &note}, {At: time.UnixMilli(1)}} {
		if _, err := c.Encode(&s); err == nil {
			t.Errorf("%+v can be encoded", s)
		}
	}
}

// The methods of fragile do not check their input.
type fragile struct{ first byte }

func (f *fragile) UnmarshalText(b []byte) error { f.first = b[0]; return nil }

func (f fragile) MarshalText() ([]byte, error) {
	switch f.first {
	case 0:
		return nil, fmt.Errorf("canary")
	case 1:
		panic("canary")
	}
	return []byte{f.first}, nil
}

func TestMethodsThatFailOrPanicAreErrorsWithoutTheValue(t *testing.T) {
	t.Parallel()
	type one struct {
		F fragile `redis:"f"`
	}
	c := codec[one](t)
	if err := c.Decode(map[string]string{"f": ""}, new(one)); err == nil {
		t.Error("an UnmarshalText that panicked is no error")
	}
	for first := range byte(2) {
		if _, err := c.Encode(&one{fragile{first}}); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("MarshalText: %v", err)
		}
	}
	if got := encoded(t, c, one{fragile{'x'}}); got["f"] != "x" {
		t.Errorf("got %q", got)
	}
}

type (
	half   struct{}
	nested struct{ A int }
)

func (half) MarshalText() ([]byte, error) { return nil, nil }

func TestNewNamesTheFieldThatAHashCannotHold(t *testing.T) {
	t.Parallel()
	type inner struct {
		A string `redis:"a"`
	}
	for want, err := range map[string]error{
		"field M is a map[string]string": refusal[struct {
			M map[string]string `redis:"m"`
		}](),
		"field I is a interface {}": refusal[struct {
			I any `redis:"i"`
		}](),
		"field E is a error": refusal[struct {
			E error `redis:"e"`
		}](),
		"field S is a []string": refusal[struct {
			S []string `redis:"s"`
		}](),
		"field A is a [2]uint8": refusal[struct {
			A [2]byte `redis:"a"`
		}](),
		"field C is a complex128": refusal[struct {
			C complex128 `redis:"c"`
		}](),
		"field F is a func()": refusal[struct {
			F func() `redis:"f"`
		}](),
		"field U is a uintptr": refusal[struct {
			U uintptr `redis:"u"`
		}](),
		"field P is a **int": refusal[struct {
			P **int `redis:"p"`
		}](),
		"field N is a hashcodec_test.nested": refusal[struct {
			N nested `redis:"n"`
		}](),
		"field H is a hashcodec_test.half": refusal[struct {
			H half `redis:"h"`
		}](),
		"field B has the same name in the hash as A": refusal[struct {
			A string `redis:"x"`
			B string `redis:"x"`
		}](),
		"field inner.A has the same name in the hash as A": refusal[struct {
			A string `redis:"a"`
			inner
		}](),
		"field U has the same name in the hash as the library": refusal[struct {
			U string `redis:"_until"`
		}](),
		"field B is tagged touch, as is A": refusal[struct {
			A time.Time `redis:"a,touch"`
			B time.Time `redis:"b,touch"`
		}](),
		"field A is tagged touch; it must be": refusal[struct {
			A int64 `redis:"a,touch"`
		}](),
		"field P is tagged touch; it must be": refusal[struct {
			P *time.Time `redis:"p,touch"`
		}](),
		"field O is tagged touch; it must be": refusal[struct {
			O time.Time `redis:"o,touch,omitempty"`
		}](),
		"field a is not exported": refusal[struct {
			a string `redis:"a"`
		}](),
		"field A has no redis tag": refusal[struct{ A string }](),
		"field A has a redis tag without a name": refusal[struct {
			A string `redis:",required"`
		}](),
		"field A has an unknown option": refusal[struct {
			A string `redis:"a,requierd"`
		}](),
		"field A cannot be both": refusal[struct {
			A string `redis:"a,required,omitempty"`
		}](),
		"field inner is embedded but no struct": refusal[struct{ *inner }](),
		"field Time is embedded and has a text": refusal[struct{ time.Time }](),
		"string is no struct":                   refusal[string](),
		"struct {} has no field":                refusal[struct{}](),
		"has no field that says anything": refusal[struct {
			Last time.Time `redis:"last,touch"`
		}](),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func refusal[S any]() error {
	_, err := hashcodec.New[S]("_until")
	return err
}

func TestAlwaysSaysWhetherEveryValueHasAText(t *testing.T) {
	t.Parallel()
	never := map[string]bool{"at": true, "note": true, "count": true, "until": true, "peer": true, "optional": true}
	for _, f := range codec[each](t).Fields() {
		if f.Always() == never[f.Name] {
			t.Errorf("%s: Always is %v", f.Name, f.Always())
		}
	}
}

func TestDecodingAllocatesOnlyTheValue(t *testing.T) {
	type plain struct {
		ID    string        `redis:"id,required"`
		State state         `redis:"state"`
		N     int           `redis:"n"`
		X     float64       `redis:"x"`
		B     bool          `redis:"b"`
		At    time.Time     `redis:"at"`
		For   time.Duration `redis:"for"`
		place
	}
	c := codec[plain](t)
	hash := map[string]string{"id": "1", "state": "s", "n": "12345", "x": "1.5", "b": "true", "at": "1764000000000", "for": "1500", "city": "c"}
	var s plain
	if n := testing.AllocsPerRun(100, func() {
		if err := c.Decode(hash, &s); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
