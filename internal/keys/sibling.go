package keys

import (
	"strconv"
	"strings"
	"sync"
)

// Sibling returns a key in the same cluster slot as key. The library keeps there what
// belongs to key: a lease, a stale copy, a fence. Different pairs of kind and key have
// different siblings, so no id can reach the sibling of another id.
//
// A key without braces becomes a hash tag as a whole: rediskit:kind:{key}. A key with
// braces would close that tag too early, so a tag for its slot comes before it:
// rediskit:kind:{tag}:key. The tag is the smallest whole number whose decimal text
// hashes to the slot, so that programs in any language can compute it.
func Sibling(kind, key string) string {
	if !strings.ContainsAny(key, "{}") {
		return Reserved + kind + ":{" + key + "}"
	}
	return Reserved + kind + ":{" + tag(Slot(key)) + "}:" + key
}

// SiblingGlob returns a glob that matches the siblings of one kind of all keys, of any
// pattern. Use KeyOf to find those of one pattern.
func SiblingGlob(kind string) string { return Reserved + kind + ":{*" }

// KeyOf is the inverse of Sibling. It returns the key that a sibling belongs to, or
// false if sibling is not one of that kind.
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

// tags is computed once, at the first key with braces. This takes about 2 ms.
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
