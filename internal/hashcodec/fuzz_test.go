package hashcodec_test

import (
	"encoding/json"
	"math"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// An encoded value is the same after decoding, except for what a text does not keep:
// fractions of milliseconds, and whether empty bytes were nil.
func FuzzValuesRoundTrip(f *testing.F) {
	f.Add("", int64(0), uint64(0), 0.0, int64(0), int64(0), []byte(nil), false, byte(0))
	f.Add("a", int64(math.MinInt64), uint64(math.MaxUint64), math.MaxFloat64, int64(1773476813589), int64(math.MaxInt64), []byte("x"), true, byte(0xff))
	f.Add("\xff\x00", int64(math.MaxInt64), uint64(1)<<53+1, math.SmallestNonzeroFloat64, int64(-62135596800000), int64(math.MinInt64), []byte{}, true, byte(0x0f))
	f.Add("é", int64(1)<<53+1, uint64(1)<<63, math.Inf(-1), int64(8.64e15-1), int64(-1), []byte("\x00"), false, byte(0x55))
	f.Add("1e21", int64(-1), uint64(10), math.NaN(), int64(-8.64e15), int64(1), []byte("{}"), false, byte(0xaa))
	c := codec[each](f)
	f.Fuzz(func(t *testing.T, text string, n int64, u uint64, x float64, at, length int64, data []byte, b bool, set byte) {
		s := each{
			Text: text, State: state(text), Int: int(n), Level: level(n), Big: n, Uint: u, Byte: uint8(u), Float: x, Ratio: ratio(x),
			Bool: b, Flag: flag(!b), At: time.UnixMilli(at % 8.64e15).UTC(), For: time.Duration(length).Truncate(time.Millisecond),
			Bytes: append([]byte{}, data...), Digest: append(digest{}, text...), Optional: int(u),
			Origin: Origin{text, place{string(data)}},
		}
		if set&1 != 0 {
			s.Note = &text
		}
		if set&2 != 0 {
			s.Count = &n
		}
		if set&4 != 0 {
			s.Until = &s.At
		}
		if addr, ok := netip.AddrFromSlice(data); ok {
			s.Addr = addr
			s.Peer = &addr
		}
		hash := encoded(t, c, s)
		var back each
		if err := c.Decode(hash, &back); err != nil {
			t.Fatalf("%q: %v", hash, err)
		}
		if s.Float != s.Float && back.Float != back.Float { // NaN equals nothing
			s.Float, back.Float = 0, 0
		}
		if s.Ratio != s.Ratio && back.Ratio != back.Ratio {
			s.Ratio, back.Ratio = 0, 0
		}
		if !reflect.DeepEqual(back, s) {
			t.Fatalf("wrote %+v\nread  %+v\nhash %q", s, back, hash)
		}
		if again := encoded(t, c, back); !reflect.DeepEqual(again, hash) && !math.IsNaN(x) {
			t.Fatalf("wrote %q, then %q", hash, again)
		}
	})
}

// No hash makes the decoder panic. A hash that it accepts can be encoded again and has
// the same meaning then.
func FuzzAnyHashDecodesOrIsAnError(f *testing.F) {
	names := []string{}
	for _, field := range codec[each](f).Fields() {
		names = append(names, field.Name)
	}
	for i := range names {
		for _, text := range []string{"", "0", "-1", "1e309", "99999999999999999999", "NaN", "0x1p-2", "true", "é\xff", "-62135596800000", "fe80::1%eth0"} {
			f.Add(byte(i), text, byte(i+1), "1")
		}
	}
	c := codec[each](f)
	f.Fuzz(func(t *testing.T, i byte, a string, j byte, b string) {
		hash := map[string]string{names[int(i)%len(names)]: a, names[int(j)%len(names)]: b}
		var s each
		if c.Decode(hash, &s) != nil {
			return
		}
		var back each
		if err := c.Decode(encoded(t, c, s), &back); err != nil {
			t.Fatalf("%q was read as %+v, and cannot be read again: %v", hash, s, err)
		}
		if was, is := plain(s), plain(back); was != is {
			t.Fatalf("%q was read as\n%s, then as\n%s", hash, was, is)
		}
	})
}

// plain is s as text, with NaN and without the difference of nil and empty.
func plain(s each) string {
	if math.IsNaN(s.Float) {
		s.Float = -1
	}
	if s.Ratio != s.Ratio {
		s.Ratio = -1
	}
	if math.IsInf(s.Float, 0) {
		s.Float = math.Copysign(2, s.Float)
	}
	if math.IsInf(float64(s.Ratio), 0) {
		s.Ratio = ratio(math.Copysign(2, float64(s.Ratio)))
	}
	s.Bytes, s.Digest = append([]byte{}, s.Bytes...), append(digest{}, s.Digest...)
	text, err := json.Marshal(s)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
