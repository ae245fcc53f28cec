package ratelimit

import (
	"crypto/sha256"
	"strings"
	"time"
)

// recent remembers something about each of a bounded number of ids, until a
// time by the monotonic clock. Its owner guards it.
type recent[V any] struct {
	size    int
	entries map[string]entry[V]
}

type entry[V any] struct {
	value V
	until time.Time
}

func newRecent[V any](size int) recent[V] {
	return recent[V]{size, map[string]entry[V]{}}
}

// get is what is remembered of id, or false.
func (r *recent[V]) get(id string, now time.Time) (entry[V], bool) {
	e, ok := r.entries[kept(id)]
	if !ok || !now.Before(e.until) {
		return entry[V]{}, false
	}
	return e, true
}

// sample is how many entries are looked at to find one to forget.
const sample = 8

// put remembers e of id. If there is no room, it forgets what has ended among
// a few random others, or else the one of them that ends first.
func (r *recent[V]) put(id string, e entry[V], now time.Time) {
	id = strings.Clone(kept(id)) // or it keeps what it is a part of
	if _, ok := r.entries[id]; !ok && len(r.entries) >= r.size {
		var first string
		looked, room := 0, false
		for other, o := range r.entries { // in random order
			if !now.Before(o.until) {
				delete(r.entries, other)
				room = true
			} else if first == "" || o.until.Before(r.entries[first].until) {
				first = other
			}
			if looked++; looked == sample {
				break
			}
		}
		if !room {
			delete(r.entries, first)
		}
	}
	r.entries[id] = e
}

func (r *recent[V]) forget(id string) { delete(r.entries, kept(id)) }

// maxID is the longest id, in bytes, that is kept as it is. Ids may be anything
// that somebody sends, so that their number alone would bound nothing.
const maxID = 256

// kept is id, or what stands for a long one.
func kept(id string) string {
	if len(id) <= maxID {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return string(sum[:])
}
