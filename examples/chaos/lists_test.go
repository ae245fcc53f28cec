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

// A list is a value of the cache: the version of its source, and some weight.
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

// Lists has members read lists through the cache while others change their
// source and delete them.
type lists struct {
	open   func(m *member) (lister, error)
	w      *world
	caches map[*member]lister
	ids    [listIDs]source
}

// A source is what a list is loaded from, and what the model knows of it.
type source struct {
	mu      sync.Mutex
	version int64
	deletes []*deletion
	floors  floors
	loading map[int]running
	loads   int
}

// A deletion is a Delete: a failed one may still come to the server.
type deletion struct {
	till   time.Time // zero while it lasts
	failed bool
}

type running struct {
	m    *member
	from time.Time // its call
}

func newLists() *lists {
	return &lists{open: func(m *member) (lister, error) {
		return cache.New[list](m.rdb, cache.Config{Key: "cache:list:*", TTL: 20 * time.Second, LoadTimeout: loadTimeout})
	}}
}

func (l *lists) start(w *world) {
	l.w, l.caches = w, map[*member]lister{}
	for i := range l.ids {
		l.ids[i].loading = map[int]running{}
	}
	for _, m := range w.members {
		c, err := l.open(m)
		if err != nil {
			w.t.Fatal(err)
		}
		l.caches[m] = c
	}
	w.each(3, 2*time.Millisecond, func(rng *rand.Rand, m *member) { l.read(m, rng.IntN(listIDs)) })
	w.each(1, 20*time.Millisecond, func(rng *rand.Rand, m *member) { l.change(m, rng.IntN(listIDs)) })
}

func (l *lists) read(m *member, i int) {
	s := &l.ids[i]
	l.w.call("GetOrLoad", func(ctx context.Context) {
		began := time.Now()
		got, err := l.caches[m].GetOrLoad(ctx, fmt.Sprint(i), func(context.Context, string) (list, error) {
			return s.load(l.w, m, began), nil
		})
		if err != nil {
			if ctx.Err() == nil {
				l.w.violated(noStaleSet, "GetOrLoad failed though its loader did not: %v", err)
			}
			return
		}
		now := time.Now()
		since := began
		if !l.w.weather.calm(began, now) {
			// A reader that Redis does not answer may share a load that began before
			// a Delete elsewhere.
			since = began.Add(-loadTimeout)
		}
		l.w.checked(noStaleSet, 1)
		s.mu.Lock()
		low := s.floors.at(since)
		s.mu.Unlock()
		if got.Version < low.version && l.w.weather.kept(low.from, now) {
			l.w.violated(noStaleSet, "%s was answered version %d of list %d, %d was deleted %v before",
				m.name, got.Version, i, low.version-1, began.Sub(low.from))
		}
	})
}

// load is the loader, of a call of m's that began then. Two loads of one list
// at a time are one too many, unless a Delete came between them or the fleet
// cannot agree.
func (s *source) load(w *world, m *member, began time.Time) list {
	s.mu.Lock()
	now := time.Now()
	w.checked(oneLoad, 1)
	for _, other := range s.loading {
		agreed := other.m == m || w.weather.calm(other.from.Add(-loadTimeout), now)
		if agreed && !s.deletedSince(other.from) {
			w.violated(oneLoad, "%s loads a list, and so does %s, which was asked %v ago", m.name, other.m.name, now.Sub(other.from))
		}
	}
	s.loads++
	turn := s.loads
	s.loading[turn] = running{m, began}
	version := s.version
	s.mu.Unlock()

	time.Sleep(rand.N(loadTime))

	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.loading, turn)
	return list{version, items}
}

// deletedSince says whether the list may have been deleted after t.
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
	l.w.call("Delete", func(ctx context.Context) {
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
		return errors.New("what was loaded was not stored")
	}
	return nil
}

func (l *lists) check(w *world) {
	for i := range l.ids {
		l.read(w.members[i%2], i)
	}
}

func (l *lists) close() error {
	var errs []error
	for _, c := range l.caches {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
