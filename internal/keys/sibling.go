package keys

import (
	"strconv"
	"strings"
	"sync"
)

// Sibling is the key, in the same cluster slot as key, where the library
// keeps what it needs beside it: a lease, a stale copy, a fence. Different
// (kind, key) pairs have different siblings, so no id can reach another's.
//
// A key without braces becomes a hash tag as a whole: rediskit:kind:{key}.
// A key with braces would close that tag too early, so it gets a tag of its
// own slot and follows it: rediskit:kind:{tag}:key. The tag is the smallest
// whole number whose decimal text hashes to the slot, so that any language
// can find it.
func Sibling(kind, key string) string {
	if !strings.ContainsAny(key, "{}") {
		return Reserved + kind + ":{" + key + "}"
	}
	return Reserved + kind + ":{" + tag(Slot(key)) + "}:" + key
}

// SiblingGlob matches the siblings of one kind of every key, of any pattern.
// KeyOf tells which of them belong to a pattern.
func SiblingGlob(kind string) string { return Reserved + kind + ":{*" }

// KeyOf is the inverse of Sibling: the key beside which a sibling lives, or
// false for anything that is no sibling of that kind.
func KeyOf(kind, sibling string) (string, bool) {
	rest, ok := strings.CutPrefix(sibling, Reserved+kind+":{")
	if !ok {
		return "", false
	}
	key, after, _ := strings.Cut(rest, "}")
	if after != "" {
		key = after[1:]
	}
	return key, Sibling(kind, key) == sibling
}

func tag(slot int) string { return strconv.Itoa(int(tags()[slot])) }

// tags is made at the first key with braces: about 2 ms, once.
var tags = sync.OnceValue(func() *[Slots]uint32 {
	var table [Slots]uint32
	seen := make([]bool, Slots)
	for n, missing := uint32(0), Slots; missing > 0; n++ {
		slot := crc16(strconv.Itoa(int(n))) % Slots
		if !seen[slot] {
			seen[slot], table[slot] = true, n
			missing--
		}
	}
	return &table
})
