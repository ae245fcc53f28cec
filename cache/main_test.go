package cache_test

import (
	"context"
	"slices"
	"strings"
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
	for _, f := range set {
		f(&cfg)
	}
	c, err := cache.New[V](rdb, cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		noImmortals(t, s)
	})
	return c
}

// noImmortals fails the test if any key of its own has no TTL.
func noImmortals(t testing.TB, s *redistest.Server) {
	t.Helper()
	ctx, rdb := context.Background(), s.Client()
	defer rdb.Close()
	all, err := rdb.Keys(ctx, "*"+s.Prefix()+"*").Result()
	if err != nil {
		return // the test took its server away
	}
	for _, key := range all {
		if ttl := rdb.PTTL(ctx, key).Val(); ttl == -1 {
			t.Errorf("key %.80q has no TTL", key)
		}
	}
}

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
	value := s.value
	var g *gate
	if len(s.gates) > 0 {
		g, s.gates = s.gates[0], s.gates[1:]
	}
	s.mu.Unlock()
	if g == nil {
		return value, nil
	}
	close(g.entered)
	select {
	case <-g.open:
		return value, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// async runs f and returns where its result will be.
func async[T any](f func() (T, error)) <-chan result[T] {
	out := make(chan result[T], 1)
	go func() {
		v, err := f()
		out <- result[T]{v, err}
	}()
	return out
}

type result[T any] struct {
	value T
	err   error
}

// want fails the test unless v is what a call brought, without an error.
func want(t testing.TB, r result[string], v string) {
	t.Helper()
	if r.err != nil || r.value != v {
		t.Errorf("got %q, %v; want %q", r.value, r.err, v)
	}
}

func get(t testing.TB, c *cache.Cache[string], src *source, id string) result[string] {
	t.Helper()
	v, err := c.GetOrLoad(t.Context(), id, src.load)
	return result[string]{v, err}
}

// slowLoad begins a call whose load has read its value and now stands still.
func slowLoad(t testing.TB, c *cache.Cache[string], src *source, id string) (*gate, <-chan result[string]) {
	t.Helper()
	slow := src.holdNext()
	call := async(func() (string, error) { return c.GetOrLoad(t.Context(), id, src.load) })
	<-slow.entered
	return slow, call
}

// A recorder collects what OnError is told.
type recorder struct {
	mu   sync.Mutex
	errs []error
}

func (r *recorder) onError(c *cache.Config) { c.OnError = r.onErrorFunc() }

func (r *recorder) onErrorFunc() func(context.Context, error) {
	return func(_ context.Context, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.errs = append(r.errs, err)
	}
}

func (r *recorder) all() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errs)
}

func (r *recorder) has(text string) bool {
	return slices.ContainsFunc(r.all(), func(err error) bool { return strings.Contains(err.Error(), text) })
}

// commands is a hook that a test uses to look at, hold or fail commands.
type commands func(next func() error, names ...string) error

func (h commands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := h(func() error { return next(ctx, cmd) }, cmd.Name())
		if err != nil && cmd.Err() == nil {
			cmd.SetErr(err)
		}
		return err
	}
}

func (h commands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		names := make([]string, len(cmds))
		for i, cmd := range cmds {
			names[i] = cmd.Name()
		}
		err := h(func() error { return next(ctx, cmds) }, names...)
		for _, cmd := range cmds {
			if err != nil && cmd.Err() == nil {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// hooked is a client whose commands, but for those of its handshake, go
// through h.
func hooked(s *redistest.Server, h commands) *redis.Client {
	rdb := s.Client()
	_ = rdb.Ping(context.Background()).Err()
	rdb.AddHook(h)
	return rdb
}

// spy is a hook that sees each command before it is sent.
type spy func(redis.Cmder)

func (h spy) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h spy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h(cmd)
		return next(ctx, cmd)
	}
}

func (h spy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			h(cmd)
		}
		return next(ctx, cmds)
	}
}
