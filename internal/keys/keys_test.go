package keys

import (
	"strings"
	"testing"
)

func TestParseNamesWhatWouldBeRight(t *testing.T) {
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
	for _, foreign := range []string{"", "conversations::list", "conversations:list", "conversations:1", "x:1:list"} {
		if id, ok := p.ID(foreign); ok {
			t.Errorf("ID(%q) = %q, want none", foreign, id)
		}
	}
}

func TestGlobEscapesWhatTheCallerWrote(t *testing.T) {
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
		// The right side of the pairs that are no hash tags themselves is
		// hashed whole.
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

func TestSiblingsOfDifferentKeysNeverMeet(t *testing.T) {
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

func TestKeyOfRefusesWhatIsNoSibling(t *testing.T) {
	t.Parallel()
	for _, foreign := range []string{
		"", "conversations:1:list", "rediskit:lease:", "rediskit:lease:{", "rediskit:lease:{a",
		"rediskit:lease:{a}b", "rediskit:lease:{a}:b", "rediskit:lease:{0}:b{", "rediskit:stale:{a}",
	} {
		if key, ok := KeyOf("lease", foreign); ok {
			t.Errorf("KeyOf(%q) = %q, want none", foreign, key)
		}
	}
}

func FuzzSiblingStaysInTheSlotOfItsKey(f *testing.F) {
	for _, id := range hostileIDs {
		f.Add(id, "a}")
	}
	f.Fuzz(func(t *testing.T, id, other string) {
		p, _ := Parse("conversations:*:list")
		key := p.Key(id)
		sibling := Sibling("lease", key)
		if Slot(sibling) != Slot(key) {
			t.Errorf("%q is in slot %d, its key in %d", sibling, Slot(sibling), Slot(key))
		}
		if id != other && sibling == Sibling("lease", p.Key(other)) {
			t.Errorf("%q and %q share a sibling", id, other)
		}
	})
}

var hostileIDs = []string{
	"1", "user_1", " ", "a b", "a\nb", "\x00", "*", "?", "[a]", `\`, "{}", "{", "}", "{a}", "}{", "{a}b}", "a}:b",
	"0}:conversations:1", "é", "\xff\xfe", "rediskit:lease:{x}", strings.Repeat("x", 1<<20), strings.Repeat("{", 1<<10),
}
