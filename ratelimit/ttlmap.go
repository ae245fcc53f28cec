package ratelimit

import (
	"crypto/sha256"
	"strings"
	"time"
)

// A ttlMap holds a limited number of values by id, each until a time of the monotonic
// clock. Its owner guards it with a mutex.
type ttlMap[V any] struct {
	limit   int
	entries map[string]entry[V]
}

type entry[V any] struct {
	value V
	until time.Time
}

func newTTLMap[V any](limit int) ttlMap[V] {
	return ttlMap[V]{limit, map[string]entry[V]{}}
}

// get returns the entry of id, or false if there is none or it has expired.
func (m *ttlMap[V]) get(id string, now time.Time) (entry[V], bool) {
	e, ok := m.entries[mapKey(id)]
	if !ok || !now.Before(e.until) {
		return entry[V]{}, false
	}
	return e, true
}

// sampleSize is how many random entries put looks at to make room.
const sampleSize = 8

// put stores an entry. If the map is full, it removes the expired entries of a small
// random sample, or, if none has expired, the one of them that expires first.
func (m *ttlMap[V]) put(id string, e entry[V], now time.Time) {
	id = strings.Clone(mapKey(id)) // id may be part of a large string, which the map would keep
	if _, ok := m.entries[id]; !ok && len(m.entries) >= m.limit {
		var first string // the one that expires first
		looked, room := 0, false
		for other, o := range m.entries { // in random order
			if !now.Before(o.until) {
				delete(m.entries, other)
				room = true
			} else if first == "" || o.until.Before(m.entries[first].until) {
				first = other
			}
			if looked++; looked == sampleSize {
				break
			}
		}
		if !room {
			delete(m.entries, first)
		}
	}
	m.entries[id] = e
}

func (m *ttlMap[V]) remove(id string) { delete(m.entries, mapKey(id)) }

// maxID is the length, in bytes, of the longest id that is kept as it is. Clients may
// choose ids, so a bound on their number alone would not bound the memory.
const maxID = 256

// mapKey returns id, or the digest of a long one.
func mapKey(id string) string {
	if len(id) <= maxID {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return string(sum[:])
}
