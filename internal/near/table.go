// Package near keeps values in this process, for as long as nothing says that they have
// changed.
package near

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit/internal/tracking"
)

// ways is how many values one set has room for. With its generation a set fills a cache
// line of 64 bytes.
const ways = 7

// maxPassed is how many values the clock hand passes over before it evicts the next one
// in any case. Writers wait meanwhile.
const maxPassed = 256

// maxUsed is how often the clock hand passes over a value that is looked up often.
const maxUsed = 3

// A Table keeps a limited number of values by their ids. Ids are hashed into sets of
// seven places. A lookup takes no lock and hardly ever writes.
//
// There are twice as many places as values, so that a full set is rare. When the limit
// is reached, a clock hand goes round all places and evicts the first value that was not
// looked up since the hand passed it last (the CLOCK algorithm).
type Table[V any] struct {
	seed maphash.Seed
	sets []set[V]

	mu    sync.Mutex // for writers
	limit int
	count int
	hand  int // the place where the clock hand stands
}

// A set is the unit of invalidation: all values whose ids are hashed into it.
type set[V any] struct {
	generation atomic.Uint64
	ways       [ways]atomic.Pointer[Entry[V]]
}

// An Entry is a value that was put. It is found while its set has the same generation, its
// epoch is valid and its deadline is in the future. Do not change it.
type Entry[V any] struct {
	Claim
	Value    V
	deadline time.Duration
	used     atomic.Int32 // lookups, less one for each time that the clock hand passed it
}

// A Claim is what was true before a value was read. While it is still true, the value has
// not changed.
type Claim struct {
	ID    string
	Epoch *tracking.Epoch
	Taken time.Duration // when, by tracking.Now

	generation uint64
}

// New returns a Table of up to limit values, at least 1.
func New[V any](limit int) *Table[V] {
	return &Table[V]{
		seed:  maphash.MakeSeed(),
		sets:  make([]set[V], (2*limit+ways-1)/ways),
		limit: limit,
	}
}

// Get returns the entry of id, or nil if there is none that is still valid.
func (t *Table[V]) Get(id string) *Entry[V] {
	s := t.set(id)
	generation := s.generation.Load()
	for i := range s.ways {
		e := s.ways[i].Load()
		if e == nil || e.ID != id {
			continue
		}
		if !e.live(generation, tracking.Now()) {
			break
		}
		if used := e.used.Load(); used < maxUsed {
			e.used.Store(used + 1)
		}
		return e
	}
	return nil
}

// Claim returns what Put needs. Call it before the value of id is read, from a server
// that announces its changes in epoch.
func (t *Table[V]) Claim(id string, epoch *tracking.Epoch) Claim {
	return Claim{ID: id, Epoch: epoch, Taken: tracking.Now(), generation: t.set(id).generation.Load()}
}

// Changed reports whether the value of the claim's id was invalidated since the claim was
// taken. It may report it for another id of the same set.
func (t *Table[V]) Changed(claim Claim) bool {
	return t.set(claim.ID).generation.Load() != claim.generation
}

// Put keeps a value until deadline, by tracking.Now, unless its claim is void already. A
// valid value that is there stays.
func (t *Table[V]) Put(claim Claim, value V, deadline time.Duration) {
	e := &Entry[V]{Claim: claim, Value: value, deadline: deadline}
	s, now := t.set(e.ID), tracking.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	generation := s.generation.Load()
	if !e.live(generation, now) {
		return
	}
	var place *atomic.Pointer[Entry[V]]
	for i := range s.ways {
		old := s.ways[i].Load()
		switch {
		case old != nil && !old.live(generation, now):
			t.drop(&s.ways[i])
			place = &s.ways[i]
		case old == nil:
			place = &s.ways[i]
		case old.ID == e.ID:
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

// Invalidate drops the value of id, and voids the claims that were taken before.
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

// Len returns how many values are kept, valid or not.
func (t *Table[V]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

func (t *Table[V]) set(id string) *set[V] {
	n, _ := bits.Mul64(maphash.String(t.seed, id), uint64(len(t.sets)))
	return &t.sets[n]
}

func (e *Entry[V]) live(generation uint64, now time.Duration) bool {
	return e.generation == generation && !e.Expired(now) && e.Epoch.Valid(now)
}

// Expired reports whether the entry's deadline is not in the future.
func (e *Entry[V]) Expired(now time.Duration) bool { return now >= e.deadline }

// victim chooses which value of a full set to evict: one that is not looked up while the
// clock hand of the set goes round, else the first.
func (s *set[V]) victim() *atomic.Pointer[Entry[V]] {
	for i := range ways * (maxUsed + 1) {
		if place := &s.ways[i%ways]; !place.Load().spared() {
			return place
		}
	}
	return &s.ways[0]
}

// spared reports whether the clock hand passes over e.
func (e *Entry[V]) spared() bool {
	used := e.used.Load()
	if used > 0 {
		e.used.Store(used - 1)
	}
	return used > 0
}

// sweep moves the clock hand until it has evicted a value.
func (t *Table[V]) sweep() {
	for before, passed := t.count, 0; t.count == before; passed++ {
		place := &t.sets[t.hand/ways].ways[t.hand%ways]
		t.hand = (t.hand + 1) % (len(t.sets) * ways)
		if e := place.Load(); e != nil && (!e.spared() || passed >= maxPassed) {
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

func (t *Table[V]) drop(place *atomic.Pointer[Entry[V]]) {
	place.Store(nil)
	t.count--
}
