package jsoncodec

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// writable reports whether a slice in v is in the memory of data. Strings may be.
func writable(v reflect.Value, data []byte) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return !v.IsNil() && writable(v.Elem(), data)
	case reflect.Slice:
		from := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
		if at := v.Pointer(); v.Cap() > 0 && at >= from && at < from+uintptr(cap(data)) {
			return true
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			if writable(v.Index(i), data) {
				return true
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if writable(v.MapIndex(key), data) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if writable(v.Field(i), data) {
				return true
			}
		}
	}
	return false
}

// check fails unless the codec and encoding/json decode data alike.
func check(t *testing.T, s shape, data []byte) {
	t.Helper()
	want, wantErr := s.want(data)

	given := bytes.Clone(data)
	got, err := s.got(given)
	if !bytes.Equal(given, data) {
		t.Fatalf("%v: Decode wrote to its input %q", s.typ, data)
	}
	if writable(reflect.ValueOf(got), given) {
		t.Fatalf("%v: whoever writes to a slice of the value of %q writes to the input", s.typ, data)
	}

	if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
		t.Fatalf("%v of %q: error %v, want %v", s.typ, data, err, wantErr)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%v of %q:\n got %+v\nwant %+v", s.typ, data, got, want)
	}
	again, err := s.enc(got)
	wantAgain, wantErr := json.Marshal(reflect.ValueOf(want).Elem().Interface())
	if (err == nil) != (wantErr == nil) || !bytes.Equal(again, wantAgain) {
		t.Fatalf("%v of %q encodes as %s, %v; want %s, %v", s.typ, data, again, err, wantAgain, wantErr)
	}
}

func shapeNamed(t *testing.T, typ reflect.Type) shape {
	t.Helper()
	for _, s := range shapes {
		if s.typ == typ {
			return s
		}
	}
	t.Fatalf("no shape of type %v", typ)
	return shape{}
}

// go-json v0.12.0 decodes each of these inputs differently, or it is a kind of input
// that fast decoders often decode wrongly.
var divergent = []struct {
	name string
	typ  reflect.Type
	data string
}{
	{"float32 rounded twice", reflect.TypeFor[[]float32](), `[7.038531e-26]`},
	{"float32 rounded twice in a struct", reflect.TypeFor[Singles](), `{"f":1.0000000596047446753906250000000001}`},
	{"largest float32", reflect.TypeFor[float32](), `3.4028235677973366e38`},
	{"string option takes a plus sign", reflect.TypeFor[Strs](), `{"L":"+1"}`},
	{"string option takes a plus sign in a duration", reflect.TypeFor[Strs](), `{"R":"+1"}`},
	{"empty object for a float key", reflect.TypeFor[Keys](), `{"Float":{}}`},
	{"empty object for a pointer key", reflect.TypeFor[Keys](), `{"Pointer":{}}`},
	{"case chooses an embedded field", reflect.TypeFor[CaseBelow](), `{"aB":1}`},
	{"unexported embedded pointer below a pointer", reflect.TypeFor[PtrBelow](), `{"seen":"x"}`},
	{"null after bytes", reflect.TypeFor[Bytes](), `{"D":"AQID","D":null}`},
	{"method of another library", reflect.TypeFor[FromMethod](), `{"S":"x"}`},

	{"skipped escape", reflect.TypeFor[Small](), `{"other":"\0"}`},
	{"skipped number", reflect.TypeFor[Small](), `{"other":[01]}`},
	{"skipped control character", reflect.TypeFor[Small](), "{\"other\":\"a\nb\"}"},
	{"skipped name", reflect.TypeFor[Small](), `{"\a":1}`},
	{"folded names", reflect.TypeFor[Small](), `{"` + "\u017f" + `":"a","` + "\u212a" + `":"b"}`},
	{"exact name after folded", reflect.TypeFor[Small](), `{"K":"a","k":"b"}`},
	{"escaped name", reflect.TypeFor[Small](), `{"\u006b":"b"}`},
	{"minus zero", reflect.TypeFor[any](), `-0`},
	{"overflowing integer", reflect.TypeFor[[]int](), `[44073704073709551642]`},
	{"overflowing float", reflect.TypeFor[any](), `1e309`},
	{"smallest integer", reflect.TypeFor[int8](), `-128`},
	{"integer with a fraction", reflect.TypeFor[int](), `1.0`},
	{"null leaves a map element zero", reflect.TypeFor[map[string]bool](), `{"a":true,"a":null}`},
	{"repeated name merges", reflect.TypeFor[*Conversation](), `{"last_message":{"id":"1"},"last_message":{"role":"x"}}`},
	{"repeated name shortens", reflect.TypeFor[Node](), `{"Kids":[{"V":1},{"V":2}],"Kids":[{}]}`},
	{"lone surrogates", reflect.TypeFor[string](), `"\ud83d\ud83d\ude00\udc00"`},
	{"invalid UTF-8", reflect.TypeFor[string](), "\"a\xff\xed\xa0\x80\\n\xc3\""},
	{"invalid UTF-8 in a name", reflect.TypeFor[map[string]int](), "{\"\xff\":1}"},
	{"byte order mark", reflect.TypeFor[int](), "\ufeff1"},
	{"trailing data", reflect.TypeFor[int](), `1 2`},
	{"trailing NUL", reflect.TypeFor[int](), "1\x00"},
	{"trailing comma", reflect.TypeFor[[3]int](), `[0,0,2,]`},
	{"empty input", reflect.TypeFor[any](), ``},
	{"white space alone", reflect.TypeFor[any](), " \n"},
	{"other white space", reflect.TypeFor[any](), "\v1"},
	{"top-level null", reflect.TypeFor[[]Conversation](), `null`},
	{"long array for a short one", reflect.TypeFor[[3]int](), `[1,2,3,[4,"\u0041"]]`},
	{"null number key", reflect.TypeFor[map[int]string](), `{"null":"x"}`},
	{"leading zero in a quoted number", reflect.TypeFor[json.Number](), `"07"`},
	{"lenient time", reflect.TypeFor[time.Time](), `"2026-01-02T03;04:05.8Z"`},
	{"escaped time", reflect.TypeFor[time.Time](), `"\u0032026-01-02T03:04:05Z"`},
	{"base64 with line ends", reflect.TypeFor[[]byte](), `"AQ\r\nID"`},
	{"bytes from an array", reflect.TypeFor[[]byte](), `[1,2,255]`},
	{"white space around a raw value", reflect.TypeFor[JSONVal](), "\n {\"a\" : 1}\t"},
	{"nested to the limit", reflect.TypeFor[any](), strings.Repeat("[", 10000) + strings.Repeat("]", 10000)},
	{"nested beyond the limit", reflect.TypeFor[any](), strings.Repeat("[", 10001) + strings.Repeat("]", 10001)},
	{"skipped beyond the limit", reflect.TypeFor[Small](), `{"other":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`},
	{"nested and unfinished", reflect.TypeFor[Node](), strings.Repeat(`{"Left":`, 20000)},
}

func TestDecodeAgreesWithEncodingJSONWhereFastDecodersDoNot(t *testing.T) {
	t.Parallel()
	for _, tt := range divergent {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			check(t, shapeNamed(t, tt.typ), []byte(tt.data))
		})
	}
}

func TestDecodeAgreesWithEncodingJSONOnGeneratedInput(t *testing.T) {
	t.Parallel()
	for i, s := range shapes {
		t.Run(s.typ.String(), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(100) {
				check(t, s, generate(seed<<8|uint64(i), s.typ))
			}
		})
	}
}

func TestTypesThatGoJSONDecodesDifferentlyAreNotFast(t *testing.T) {
	t.Parallel()
	slow := map[reflect.Type]bool{
		reflect.TypeFor[Singles]():    true, // float32
		reflect.TypeFor[float32]():    true,
		reflect.TypeFor[[]float32]():  true,
		reflect.TypeFor[Strs]():       true, // string option
		reflect.TypeFor[Keys]():       true, // map keys
		reflect.TypeFor[Bytes]():      true, // slices of bytes
		reflect.TypeFor[[]byte]():     true,
		reflect.TypeFor[Names]():      true, // names that fold alike
		reflect.TypeFor[Embedded]():   true, // embedded pointers, shadowed names
		reflect.TypeFor[EmbBad]():     true,
		reflect.TypeFor[EmbRec]():     true,
		reflect.TypeFor[CaseBelow]():  true,
		reflect.TypeFor[PtrBelow]():   true,
		reflect.TypeFor[FromMethod](): true, // a method that encoding/json may not know
		reflect.TypeFor[Unsup]():      true, // kinds that encoding/json refuses
		reflect.TypeFor[func()]():     true,
	}
	for _, s := range shapes {
		if s.fast == slow[s.typ] {
			t.Errorf("%v: fast is %v", s.typ, s.fast)
		}
	}
}

func TestAnEmptyArrayBetweenRepeatedNamesClearsTheFirstArray(t *testing.T) {
	t.Parallel()
	type object struct {
		T []Inner
		K []Inner `json:"k"`
	}
	for _, data := range []string{
		`{"t":[{"a":1}],"t":[],"t":[{}]}`,
		`{"t" : [{"a":1}] , "T" : [ ] , "\u0074" : [{}]}`,
		"{\"k\":[{\"a\":1}],\"K\":[\n],\"\u212a\":[{}]}", // the Kelvin sign folds to k
		`{"t":[{"a":1}],"x":{"\\":"\"","y":["]"]},"t":[],"t":[null]}`,
	} {
		got, err := For[object]().Decode([]byte(data))
		want, wantErr := Codec[object]{}.Decode([]byte(data))
		if err != nil || wantErr != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v; want %+v, %v", data, got, err, want, wantErr)
		}
		if reflect.DeepEqual(want.T, []Inner{{A: 1}}) || reflect.DeepEqual(want.K, []Inner{{A: 1}}) {
			t.Errorf("%s does not show what it is meant to", data)
		}
	}
}

// Data that has an empty array and repeats no name must stay fast.
func TestDataWithoutRepeatedNamesStaysFast(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		``, `[]`, `{}`, `[[],[]]`, `{"tags":[]}`, `[{"id":"1","tags":[]},{"id":"2","tags":["a"]}]`,
		`{"a":{"a":[]},"b":{"a":"a"}}`, `{"a":"x\\","b":"\"a\":","c":[]}`, `{"title":[],"Title ":[],"titel":[],"x":1,"X":2}`,
	} {
		if repeatsAroundEmpty([]byte(data)) {
			t.Errorf("repeatsAroundEmpty(%s)", data)
		}
	}
}

type panics struct{}

func (*panics) UnmarshalJSON([]byte) error { panic("UnmarshalJSON of the caller") }

func TestDecodePanicsOnlyWhereEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	defer func() {
		if r := recover(); r != "UnmarshalJSON of the caller" {
			t.Errorf("recovered %v", r)
		}
	}()
	For[[]panics]().Decode([]byte(`[1]`))
	t.Error("no panic")
}

type onceWrong struct{ Calls int }

var errWrong = errors.New("wrong")

func (v *onceWrong) UnmarshalJSON([]byte) error { v.Calls++; return errWrong }

func TestDecodeReturnsAZeroValueWithTheErrorOfAMethod(t *testing.T) {
	t.Parallel()
	v, err := For[map[string]onceWrong]().Decode([]byte(`{"a":1}`))
	if !errors.Is(err, errWrong) || v != nil {
		t.Errorf("Decode = %v, %v", v, err)
	}
}

func TestEncodeIsEncodingJSON(t *testing.T) {
	t.Parallel()
	got, err := For[map[string]any]().Encode(map[string]any{"b": "<&>\u2028", "a": 1e21, "c": "\xff"})
	if want := `{"a":1e+21,"b":"\u003c\u0026\u003e\u2028","c":"\ufffd"}`; err != nil || string(got) != want {
		t.Errorf("Encode = %s, %v, want %s", got, err, want)
	}
	var unsupported *json.UnsupportedValueError
	if _, err := For[float64]().Encode(math.NaN()); !errors.As(err, &unsupported) {
		t.Errorf("Encode of NaN: %v", err)
	}
}

func TestDecodeFromManyGoroutinesSharesNothing(t *testing.T) {
	t.Parallel()
	codec := For[[]Conversation]()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			typ := reflect.TypeFor[[]Conversation]()
			for seed := range uint64(100) {
				data := generate(seed*8+uint64(g), typ)
				got, err := codec.Decode(data)
				want, wantErr := Codec[[]Conversation]{}.Decode(data)
				if (err == nil) != (wantErr == nil) || !reflect.DeepEqual(got, want) {
					t.Errorf("%q: got %+v, %v; want %+v, %v", data, got, err, want, wantErr)
				}
			}
		})
	}
	wg.Wait()
}

func FuzzDecode(f *testing.F) {
	for _, tt := range divergent {
		for i, s := range shapes {
			if s.typ == tt.typ && len(tt.data) < 1000 { // mutating the deep ones is slow
				f.Add(uint8(i), []byte(tt.data))
			}
		}
	}
	for i, s := range shapes {
		f.Add(uint8(i), generate(uint64(i), s.typ))
	}
	f.Fuzz(func(t *testing.T, i uint8, data []byte) {
		check(t, shapes[int(i)%len(shapes)], data)
	})
}

func FuzzDecodeGenerated(f *testing.F) {
	for i := range shapes {
		f.Add(uint8(i), uint64(i))
	}
	f.Fuzz(func(t *testing.T, i uint8, seed uint64) {
		s := shapes[int(i)%len(shapes)]
		check(t, s, generate(seed, s.typ))
	})
}
