package keys

import (
	"fmt"
	"strings"
	"testing"
)

func TestErrorsOfParseSayWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"":                    "is empty",
		"conversations":       "has no '*'",
		"a:*:*":               "more than one '*'",
		"*:list":              "begins with '*'",
		"{a}:*":               "begins with '{'",
		"rediskit:lease:*":    "rediskit:",
		"redis*":              "rediskit:",
		"rediskit:*":          "rediskit:",
		"conversations:*:lis": "",
		"a*":                  "",
		"redisx*":             "",
		"a:{*}":               "",
	} {
		_, err := Parse(pattern)
		switch {
		case want == "" && err != nil:
			t.Errorf("Parse(%q) = %v, want no error", pattern, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("Parse(%q) = %v, want an error with %q", pattern, err, want)
		}
	}
}

func TestIDIsTheInverseOfKey(t *testing.T) {
	t.Parallel()
	p, _ := Parse("conversations:*:list")
	for _, id := range hostileIDs {
		key := p.Key(id)
		if got, ok := p.ID(key); !ok || got != id {
			t.Errorf("ID(Key(%.20q)) = %.20q, %v", id, got, ok)
		}
	}
	for _, other := range []string{"", "conversations::list", "conversations:list", "conversations:1", "x:1:list"} {
		if id, ok := p.ID(other); ok {
			t.Errorf("ID(%q) = %q, want none", other, id)
		}
	}
}

func TestGlobEscapesThePattern(t *testing.T) {
	t.Parallel()
	p, _ := Parse(`a[b]?\:*:z?`)
	if got, want := p.Glob(), `a\[b\]\?\\:*:z\?`; got != want {
		t.Errorf("Glob() = %s, want %s", got, want)
	}
}

// The published examples of the Redis Cluster specification.
func TestSlotFollowsTheClusterSpecification(t *testing.T) {
	t.Parallel()
	if got := crc16("123456789"); got != 0x31C3 {
		t.Errorf("crc16(123456789) = %#x, want 0x31C3", got)
	}
	for a, b := range map[string]string{
		"{user1000}.following": "{user1000}.followers",
		"foo{{bar}}zap":        "{bar",
		"foo{bar}{zap}":        "bar",
	} {
		// The right sides of these pairs have no hash tag: the whole key is hashed.
		want := int(crc16(b) % Slots)
		if strings.HasPrefix(b, "{user") {
			want = Slot(b)
		}
		if got := Slot(a); got != want {
			t.Errorf("Slot(%q) = %d, want %d", a, got, want)
		}
	}
	if got, want := Slot("foo{}{bar}"), int(crc16("foo{}{bar}")%Slots); got != want {
		t.Errorf("an empty tag counts: %d, want %d", got, want)
	}
}

func TestEverySlotHasATagThatHashesToIt(t *testing.T) {
	t.Parallel()
	for slot := range Slots {
		if got := Slot("{" + tag(slot) + "}"); got != slot {
			t.Fatalf("tag %s is in slot %d, want %d", tag(slot), got, slot)
		}
	}
}

// Services in other languages write these names by hand.
func TestSiblingsAreNamedAsDocumented(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"conversations:user_1:list": "rediskit:lease:{conversations:user_1:list}",
		"conversations:{x}:list":    "rediskit:lease:{5300}:conversations:{x}:list",
		"conversations:{:list":      "rediskit:lease:{68507}:conversations:{:list",
	} {
		if got := Sibling("lease", key); got != want {
			t.Errorf("Sibling(%q) = %q, want %q", key, got, want)
		}
	}
}

func TestDifferentKeysHaveDifferentSiblings(t *testing.T) {
	t.Parallel()
	p, _ := Parse("conversations:*:list")
	seen := map[string]string{}
	for _, id := range hostileIDs {
		for _, kind := range []string{"lease", "stale"} {
			sibling := Sibling(kind, p.Key(id))
			if other, taken := seen[sibling]; taken {
				t.Errorf("%.40q is the sibling of both %.20q and %.20q", sibling, other, id)
			}
			seen[sibling] = id
			if key, ok := KeyOf(kind, sibling); !ok || key != p.Key(id) {
				t.Errorf("KeyOf(%.40q) = %.40q, %v", sibling, key, ok)
			}
			if _, reached := p.ID(sibling); reached {
				t.Errorf("the sibling %.40q is itself a key of the pattern", sibling)
			}
		}
	}
}

func TestKeyOfRefusesOtherKeys(t *testing.T) {
	t.Parallel()
	for _, other := range []string{
		"", "conversations:1:list", "rediskit:lease:", "rediskit:lease:{", "rediskit:lease:{a",
		"rediskit:lease:{a}b", "rediskit:lease:{a}:b", "rediskit:lease:{0}:b{", "rediskit:stale:{a}",
	} {
		if key, ok := KeyOf("lease", other); ok {
			t.Errorf("KeyOf(%q) = %q, want none", other, key)
		}
	}
}

// Each id has keys of its own, all in one slot: its key in the pattern, and one sibling
// of each kind outside of every pattern.
func FuzzNoIDReachesTheKeysOfAnother(f *testing.F) {
	for i, id := range hostileIDs {
		if len(id) > 1<<10 {
			continue
		}
		f.Add("conversations:*:list", id, hostileIDs[(i+1)%len(hostileIDs)])
		f.Add("a:{*}", id, "{"+id+"}")
		f.Add("a{*", id, id+"}")
		f.Add(id+"*"+id, "x", id)
		f.Add("rediskitx:*}:", id, "lease:{"+id)
	}
	// The patterns of the packages, with their variable parts.
	kinds := []string{"lease", "stale", "fence", "released", "op-XYZ", "op-XYZW", "limit-fixed-1h", "limit-gcra-1m0.5s-10-10"}
	f.Fuzz(func(t *testing.T, pattern, id, other string) {
		p, err := Parse(pattern)
		if err != nil || id == "" || other == "" {
			return
		}
		owner := map[string]string{}
		for _, id := range []string{id, other} {
			key := p.Key(id)
			if got, ok := p.ID(key); !ok || got != id {
				t.Errorf("ID(Key(%q)) = %q, %v", id, got, ok)
			}
			if strings.HasPrefix(key, Reserved) {
				t.Errorf("the key %q of %q is one of the library's own", key, pattern)
			}
			all := []string{key}
			for _, kind := range kinds {
				sibling := Sibling(kind, key)
				all = append(all, sibling)
				if back, ok := KeyOf(kind, sibling); !ok || back != key {
					t.Errorf("KeyOf(%q, %q) = %q, %v; want %q", kind, sibling, back, ok, key)
				}
				if _, ok := p.ID(sibling); ok {
					t.Errorf("the sibling %q is a key of %q", sibling, pattern)
				}
				if Slot(sibling) != Slot(key) {
					t.Errorf("%q is in slot %d, its key in %d", sibling, Slot(sibling), Slot(key))
				}
				for _, wrong := range kinds {
					if _, ok := KeyOf(wrong, sibling); ok && wrong != kind {
						t.Errorf("%q of the kind %q passes for one of the kind %q", sibling, kind, wrong)
					}
				}
			}
			for i, k := range all {
				if of, taken := owner[k]; taken && of != fmt.Sprint(i, id) {
					t.Errorf("%q is of %s and of %d%s", k, of, i, id)
				}
				owner[k] = fmt.Sprint(i, id)
			}
		}
	})
}

// KeyOf refuses every key that is not a sibling. For a sibling, Sibling returns the same
// text again.
func FuzzKeyOfIsTheInverseOfSibling(f *testing.F) {
	for _, s := range []string{"", "a}", "{a}:b", "rediskit:lease:{a}", "rediskit:lease:{0}:{", "rediskit:lease:{5300}:conversations:{x}:list"} {
		f.Add("lease", s)
	}
	f.Fuzz(func(t *testing.T, kind, text string) {
		for _, sibling := range []string{text, Reserved + kind + ":{" + text} {
			if key, ok := KeyOf(kind, sibling); ok && Sibling(kind, key) != sibling {
				t.Errorf("%q is the sibling of %q, which has %q", sibling, key, Sibling(kind, key))
			}
		}
	})
}

var hostileIDs = []string{
	"1", "user_1", " ", "a b", "a\nb", "\x00", "*", "?", "[a]", `\`, "{}", "{", "}", "{a}", "}{", "{a}b}", "a}:b",
	"0}:conversations:1", "é", "\xff\xfe", "rediskit:lease:{x}", strings.Repeat("x", 1<<20), strings.Repeat("{", 1<<10),
}
