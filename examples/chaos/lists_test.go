package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/convkit/rediskit/cache"
)

// A list is a value of the cache: the version of its source, and some more data.
type list struct {
	Version int64
	Items   []string
}

var items = []string{"uma", "duas", "três"}

// lister is what the model needs of a cache.
type lister interface {
	loader
	Delete(ctx context.Context, ids ...string) error
}

type loader interface {
	GetOrLoad(ctx context.Context, id string, load func(context.Context, string) (list, error)) (list, error)
	Close() error
}

const (
	listIDs     = 8
	loadTime    = 4 * time.Millisecond // at most
	loadTimeout = time.Second
)

// Lists reads lists through the cache, while other calls change their sources and delete
// them from the cache.
type lists struct {
	open   func(m *member) (lister, error)
	rd     *round
	caches map[*member]lister
	ids    [listIDs]source
}

// A source is what a list is loaded from, with what the model knows of it.
type source struct {
	mu      sync.Mutex
	version int64
	deletes []*deletion
	floors  floors
	loading map[int]running
	loads   int
}

// A deletion is a call of Delete. A failed one may still reach the server later.
type deletion struct {
	till   time.Time // zero until the call returns
	failed bool
}

type running struct {
	m    *member
	from time.Time // when its call began
}

func newLists() *lists {
	return &lists{open: func(m *member) (lister, error) {
		return cache.New[list](m.rdb, cache.Config{Key: "cache:list:*", TTL: 20 * time.Second, LoadTimeout: loadTimeout})
	}}
}

func (l *lists) start(rd *round) {
	l.rd, l.caches = rd, map[*member]lister{}
	for i := range l.ids {
		l.ids[i].loading = map[int]running{}
	}
	for _, m := range rd.members {
		c, err := l.open(m)
		if err != nil {
			rd.t.Fatal(err)
		}
		l.caches[m] = c
	}
	rd.each(3, 2*time.Millisecond, func(rng *rand.Rand, m *member) { l.read(m, rng.IntN(listIDs)) })
	rd.each(1, 20*time.Millisecond, func(rng *rand.Rand, m *member) { l.change(m, rng.IntN(listIDs)) })
}

func (l *lists) read(m *member, i int) {
	s := &l.ids[i]
	l.rd.call("GetOrLoad", func(ctx context.Context) {
		began := time.Now()
		got, err := l.caches[m].GetOrLoad(ctx, fmt.Sprint(i), func(context.Context, string) (list, error) {
			return s.load(l.rd, m, began), nil
		})
		if err != nil {
			if ctx.Err() == nil {
				l.rd.violated(noStaleSet, "GetOrLoad failed although its loader did not: %v", err)
			}
			return
		}
		now := time.Now()
		since := began
		if !l.rd.window.quiet(began, now) {
			// While Redis does not answer, a read may share a load that began before a
			// Delete of another member.
			since = began.Add(-loadTimeout)
		}
		l.rd.checked(noStaleSet, 1)
		s.mu.Lock()
		low := s.floors.at(since)
		s.mu.Unlock()
		if got.Version < low.version && l.rd.window.durable(low.from, now) {
			l.rd.violated(noStaleSet, "%s got version %d of list %d, although version %d was deleted %v before",
				m.name, got.Version, i, low.version-1, began.Sub(low.from))
		}
	})
}

// load is the loader of a call of m that began at began. Two loads of one list at the
// same time are a violation, unless a Delete came between their calls or Redis did not
// answer. Of the two calls the older one may be the later to load: its lease took longer.
func (s *source) load(rd *round, m *member, began time.Time) list {
	s.mu.Lock()
	now := time.Now()
	rd.checked(oneLoad, 1)
	for _, other := range s.loading {
		coordinated := other.m == m || rd.window.quiet(other.from.Add(-loadTimeout), now)
		first := other.from
		if began.Before(first) {
			first = began
		}
		if coordinated && !s.deletedSince(first) {
			rd.violated(oneLoad, "%s loads a list while %s loads it, whose call began %v ago", m.name, other.m.name, now.Sub(other.from))
		}
	}
	s.loads++
	id := s.loads
	s.loading[id] = running{m, began}
	version := s.version
	s.mu.Unlock()

	time.Sleep(rand.N(loadTime))

	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.loading, id)
	return list{version, items}
}

// deletedSince reports whether the list may have been deleted after t.
func (s *source) deletedSince(t time.Time) bool {
	return slices.ContainsFunc(s.deletes, func(d *deletion) bool {
		return d.till.IsZero() || d.till.After(t) || d.failed && t.Sub(d.till) < 10*time.Second
	})
}

// change changes a source and deletes the list that was loaded from it.
func (l *lists) change(m *member, i int) {
	s := &l.ids[i]
	s.mu.Lock()
	s.version++
	version := s.version
	d := &deletion{}
	s.deletes = append(s.deletes, d)
	s.mu.Unlock()
	l.rd.call("Delete", func(ctx context.Context) {
		err := l.caches[m].Delete(ctx, fmt.Sprint(i))
		s.mu.Lock()
		defer s.mu.Unlock()
		d.till, d.failed = time.Now(), err != nil
		if err == nil {
			s.floors.raise(d.till, version)
		}
	})
}

func (l *lists) works(ctx context.Context, m *member) error {
	if err := l.caches[m].Delete(ctx, "works "+m.name); err != nil {
		return err
	}
	loads := 0
	for range 2 {
		if _, err := l.caches[m].GetOrLoad(ctx, "works "+m.name, func(context.Context, string) (list, error) {
			loads++
			return list{}, nil
		}); err != nil {
			return err
		}
	}
	if loads > 1 {
		return errors.New("the value that was loaded was not stored")
	}
	return nil
}

func (l *lists) check(rd *round) {
	for i := range l.ids {
		l.read(rd.members[i%2], i)
	}
}

func (l *lists) close() error {
	var errs []error
	for _, c := range l.caches {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
