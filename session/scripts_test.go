package session

import (
	"reflect"
	"regexp"
	"testing"
)

// The Go side names the common arguments as session.lua does, in the same order.
func TestScriptsReadTheArgumentsThatAreSent(t *testing.T) {
	var inLua []string
	for _, local := range regexp.MustCompile(`(?m)^local (\w+) += (?:tonumber\()?ARGV\[(\d)\]`).FindAllStringSubmatch(preludeLua, -1) {
		inLua = append(inLua, local[1])
		if want := string(rune('0' + len(inLua))); local[2] != want {
			t.Errorf("%s is ARGV[%s], want ARGV[%s]", local[1], local[2], want)
		}
	}
	fields := reflect.TypeFor[common]()
	own := regexp.MustCompile(`(?m)^local own += (\d)`).FindStringSubmatch(preludeLua)
	if len(inLua) != fields.NumField() || own == nil || own[1] != string(rune('1'+fields.NumField())) {
		t.Fatalf("session.lua reads %q and says that the script's own begin at %q; Go sends %d", inLua, own, fields.NumField())
	}
	for i, name := range inLua {
		if got := fields.Field(i).Name; got != name {
			t.Errorf("argument %d is %s in Go and %s in Lua", i+1, got, name)
		}
	}

	// args sends each field at its own place.
	sent := common{1, 2, "3", 4, 5, 6, 7}.args([]any{"own"})
	for i, want := range []any{int64(1), int64(2), "3", int64(4), int64(5), int64(6), 7, "own"} {
		if sent[i] != want {
			t.Errorf("argument %d is %v, want %v", i+1, sent[i], want)
		}
	}
}
