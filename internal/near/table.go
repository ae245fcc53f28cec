// Package near keeps values in this process for as long as nothing says that
// they have changed.
package near

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit/internal/tracking"
)

// ways is how many ids one set has room for: with its generation a set fills a
// cache line of 64 bytes.
const ways = 7

// mostPassed is how many places the hand passes over before it takes whatever comes
// next: writers wait meanwhile.
const mostPassed = 256

// mostUsed is how often the hand passes over a value that was looked up often.
const mostUsed = 3

// A Table keeps values by id, a limited number of them. Ids are hashed into sets
// of seven; a lookup takes no lock and hardly ever writes.
//
// There are twice as many places as values, so that a full set is rare. When the
// limit is reached, a hand goes round all places and takes the first value that
// nobody has looked up since it last came by (CLOCK).
type Table[V any] struct {
	seed maphash.Seed
	sets []set[V]

	mu    sync.Mutex // for writers
	limit int
	count int
	hand  int // the place at which the hand stands
}

// A set is what an invalidation invalidates: all values whose ids fall into it.
type set[V any] struct {
	generation atomic.Uint64
	ways       [ways]atomic.Pointer[entry[V]]
}

// An entry is found while its set is of the same generation, its epoch is valid
// and its deadline lies ahead.
type entry[V any] struct {
	Claim
	value    V
	deadline time.Duration
	used     atomic.Int32 // lookups, less one for each time that the hand came by
}

// A Claim is what was true before a value was read. While it still is, the
// value has not changed.
type Claim struct {
	id         string
	generation uint64
	epoch      *tracking.Epoch
}

// New returns a Table of up to limit values, at least 1.
func New[V any](limit int) *Table[V] {
	return &Table[V]{
		seed:  maphash.MakeSeed(),
		sets:  make([]set[V], (2*limit+ways-1)/ways),
		limit: limit,
	}
}

// Get returns the value of id, or nil if there is none that is still good. It is
// not to be changed.
func (t *Table[V]) Get(id string) *V {
	s := t.set(id)
	generation := s.generation.Load()
	for i := range s.ways {
		e := s.ways[i].Load()
		if e == nil || e.id != id {
			continue
		}
		if !e.live(generation, tracking.Now()) {
			break
		}
		if used := e.used.Load(); used < mostUsed {
			e.used.Store(used + 1)
		}
		return &e.value
	}
	return nil
}

// Claim is to be taken before the value of id is read from a server whose
// changes are told in epoch.
func (t *Table[V]) Claim(id string, epoch *tracking.Epoch) Claim {
	return Claim{id, t.set(id).generation.Load(), epoch}
}

// Put keeps a value until deadline, by tracking.Now, unless its claim is void
// already. A good value that is there stays.
func (t *Table[V]) Put(claim Claim, value V, deadline time.Duration) {
	e := &entry[V]{Claim: claim, value: value, deadline: deadline}
	s, now := t.set(e.id), tracking.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	generation := s.generation.Load()
	if !e.live(generation, now) {
		return
	}
	var place *atomic.Pointer[entry[V]]
	for i := range s.ways {
		old := s.ways[i].Load()
		switch {
		case old != nil && !old.live(generation, now):
			t.drop(&s.ways[i])
			place = &s.ways[i]
		case old == nil:
			place = &s.ways[i]
		case old.id == e.id:
			return
		}
	}
	switch {
	case place == nil:
		place = s.victim()
		t.drop(place)
	case t.count == t.limit:
		t.sweep()
	}
	place.Store(e)
	t.count++
}

// Invalidate drops the value of id, and those that were claimed already.
func (t *Table[V]) Invalidate(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clear(t.set(id))
}

// InvalidateAll is Invalidate for every id.
func (t *Table[V]) InvalidateAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.sets {
		t.clear(&t.sets[i])
	}
}

// Len is how many values are kept, good or not.
func (t *Table[V]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

func (t *Table[V]) set(id string) *set[V] {
	n, _ := bits.Mul64(maphash.String(t.seed, id), uint64(len(t.sets)))
	return &t.sets[n]
}

func (e *entry[V]) live(generation uint64, now time.Duration) bool {
	return e.generation == generation && now < e.deadline && e.epoch.Valid(now)
}

// victim chooses which of a full set has to go: one that is not looked up as fast
// as this goes round, or any.
func (s *set[V]) victim() *atomic.Pointer[entry[V]] {
	for i := range ways * (mostUsed + 1) {
		if place := &s.ways[i%ways]; !place.Load().spared() {
			return place
		}
	}
	return &s.ways[0]
}

// spared says that the hand passes over e.
func (e *entry[V]) spared() bool {
	used := e.used.Load()
	if used > 0 {
		e.used.Store(used - 1)
	}
	return used > 0
}

// sweep moves the hand until it has taken a value.
func (t *Table[V]) sweep() {
	for before, passed := t.count, 0; t.count == before; passed++ {
		place := &t.sets[t.hand/ways].ways[t.hand%ways]
		t.hand = (t.hand + 1) % (len(t.sets) * ways)
		if e := place.Load(); e != nil && (!e.spared() || passed >= mostPassed) {
			t.drop(place)
		}
	}
}

func (t *Table[V]) clear(s *set[V]) {
	s.generation.Add(1)
	for i := range s.ways {
		if s.ways[i].Load() != nil {
			t.drop(&s.ways[i])
		}
	}
}

func (t *Table[V]) drop(place *atomic.Pointer[entry[V]]) {
	place.Store(nil)
	t.count--
}
