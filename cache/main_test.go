package cache_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// newCache makes a cache over a client of its own, as another process would,
// with keys of the test's own. When the test ends, no key of the cache may
// be without a TTL.
func newCache[V any](t testing.TB, s *redistest.Server, set ...func(*cache.Config)) *cache.Cache[V] {
	t.Helper()
	return newCacheOn[V](t, s, s.Client(), set...)
}

func newCacheOn[V any](t testing.TB, s *redistest.Server, rdb redis.UniversalClient, set ...func(*cache.Config)) *cache.Cache[V] {
	t.Helper()
	cfg := cache.Config{Key: s.Prefix() + ":*:list", TTL: time.Minute}
	_, local := withLocal.Load(s)
	if local {
		localOn(&cfg)
	}
	for _, f := range set {
		f(&cfg)
	}
	c, err := cache.New[V](rdb, cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	if local {
		inUse(t, c)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		s.NoImmortals(t)
	})
	return c
}

// run runs test on both servers, and on redis-server once more with caches that
// have a near cache: what must hold without one holds with it.
func run(t *testing.T, test func(t *testing.T, s *redistest.Server)) {
	t.Helper()
	redistest.Run(t, test)
	t.Run("local", func(t *testing.T) {
		t.Parallel()
		s := redistest.Real(t)
		withLocal.Store(s, true)
		test(t, s)
	})
}

// withLocal has the servers whose caches have a near cache.
var withLocal sync.Map

func keyOf(s *redistest.Server, id string) string { return s.Prefix() + ":" + id + ":list" }

func leaseOf(s *redistest.Server, id string) string { return keys.Sibling("lease", keyOf(s, id)) }

// stored is the text under id's key, or "" if there is none.
func stored(t testing.TB, s *redistest.Server, id string) string {
	t.Helper()
	text, err := s.Client().Get(context.Background(), keyOf(s, id)).Result()
	if err != nil && err != redis.Nil {
		t.Fatal(err)
	}
	return text
}

// A source stands for the database: its loads can be held at a gate after
// they have read, as a slow query is.
type source struct {
	mu    sync.Mutex
	value string
	err   error
	loads int
	gates []*gate
}

// A gate holds one load. entered is closed once the load has read its value.
type gate struct{ entered, open chan struct{} }

func newSource(value string) *source { return &source{value: value} }

func (s *source) set(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = value
}

// fail lets loads fail.
func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads
}

// holdNext holds the next load that no earlier gate holds.
func (s *source) holdNext() *gate {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &gate{make(chan struct{}), make(chan struct{})}
	s.gates = append(s.gates, g)
	return g
}

func (s *source) load(ctx context.Context, _ string) (string, error) {
	s.mu.Lock()
	s.loads++
	value, err := s.value, s.err
	var g *gate
	if len(s.gates) > 0 {
		g, s.gates = s.gates[0], s.gates[1:]
	}
	s.mu.Unlock()
	if g == nil {
		return value, err
	}
	close(g.entered)
	select {
	case <-g.open:
		return value, err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// want fails the test unless v is what a call brought, without an error.
func want(t testing.TB, r redistest.Result[string], v string) {
	t.Helper()
	if r.Err != nil || r.Value != v {
		t.Errorf("got %q, %v; want %q", r.Value, r.Err, v)
	}
}

func get(t testing.TB, c *cache.Cache[string], src *source, id string) redistest.Result[string] {
	t.Helper()
	v, err := c.GetOrLoad(t.Context(), id, src.load)
	return redistest.Result[string]{Value: v, Err: err}
}

// slowLoad begins a call whose load has read its value and now stands still.
func slowLoad(t testing.TB, c *cache.Cache[string], src *source, id string) (*gate, <-chan redistest.Result[string]) {
	t.Helper()
	slow := src.holdNext()
	call := redistest.Async(func() (string, error) { return c.GetOrLoad(t.Context(), id, src.load) })
	<-slow.entered
	return slow, call
}

func onError(reported *redistest.Recorder) func(*cache.Config) {
	return func(c *cache.Config) { c.OnError = reported.OnError }
}
