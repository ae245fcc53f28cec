package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

// loadIDs answers each id with its own text, and notes what it was asked for.
type loadIDs struct {
	mu    sync.Mutex
	calls [][]string
}

func (l *loadIDs) load(_ context.Context, ids []string) (map[string]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, slices.Sorted(slices.Values(ids)))
	found := map[string]string{"uninvited": "x"}
	for _, id := range ids {
		found[id] = "of " + id
	}
	return found, nil
}

func TestGetOrLoadManyLoadsJustTheMissesInOneCall(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s)
		if err := c.SetMany(t.Context(), map[string]string{"1": "of 1", "2": "of 2"}); err != nil {
			t.Fatal(err)
		}
		var l loadIDs
		all := []string{"1", "2", "3", "4", "5"}
		for range 2 {
			got, err := c.GetOrLoadMany(t.Context(), append(all, "3", "1"), l.load)
			if err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), all) {
				t.Errorf("got %v, %v", got, err)
			}
			for id, v := range got {
				if v != "of "+id {
					t.Errorf("%s holds %q", id, v)
				}
			}
		}
		if len(l.calls) != 1 || !slices.Equal(l.calls[0], []string{"3", "4", "5"}) {
			t.Errorf("the loader was asked for %v, want once for 3, 4 and 5", l.calls)
		}
		if got := stored(t, s, "uninvited"); got != "" {
			t.Error("a value that was not asked for was stored")
		}
	})
}

func TestGetManyReturnsWhatThereIs(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s)
		if got, err := c.GetMany(t.Context(), nil); err != nil || len(got) != 0 {
			t.Errorf("GetMany of nothing = %v, %v", got, err)
		}
		if err := c.Set(t.Context(), "1", "a"); err != nil {
			t.Fatal(err)
		}
		s.Client().Set(t.Context(), keyOf(s, "corrupt"), "{", 1e9)
		got, err := c.GetMany(t.Context(), []string{"1", "corrupt", "none", "1"})
		if err != nil || len(got) != 1 || got["1"] != "a" {
			t.Errorf("got %v, %v", got, err)
		}
		if st := c.Stats(); st.Hits != 1 || st.Misses != 2 || st.Undecodable != 1 {
			t.Errorf("stats = %+v", st)
		}
	})
}

func TestIDsThatALoaderLeavesOutDoNotExist(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.NegativeTTL = cfg.TTL })
		calls := 0
		load := func(context.Context, []string) (map[string]string, error) {
			calls++
			return map[string]string{"1": "a"}, nil
		}
		for range 2 {
			got, err := c.GetOrLoadMany(t.Context(), []string{"1", "none"}, load)
			if err != nil || len(got) != 1 || got["1"] != "a" {
				t.Errorf("got %v, %v", got, err)
			}
		}
		if calls != 1 {
			t.Errorf("%d loads: the absence was not remembered", calls)
		}
		if r := get(t, c, newSource("x"), "none"); !errors.Is(r.Err, cache.ErrNotFound) {
			t.Errorf("GetOrLoad = %v, want the remembered ErrNotFound", r.Err)
		}
	})
}

func TestAFailedBatchReturnsWhatItHasAndRemembersNoAbsence(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.NegativeTTL = cfg.TTL })
		if err := c.Set(t.Context(), "1", "a"); err != nil {
			t.Fatal(err)
		}
		// Even an error that is an ErrNotFound speaks of the batch, not of
		// each of its ids.
		for _, broken := range []error{errors.New("the database is down"), fmt.Errorf("no such table: %w", cache.ErrNotFound)} {
			got, err := c.GetOrLoadMany(t.Context(), []string{"1", "2", "3"}, func(context.Context, []string) (map[string]string, error) {
				return map[string]string{"2": "b"}, broken
			})
			if err != broken || len(got) != 2 || got["1"] != "a" || got["2"] != "b" {
				t.Errorf("got %v, %v; want 1, 2 and the loader's error", got, err)
			}
		}
		want(t, get(t, c, newSource("c"), "3"), "c")
	})
}

// Two batches hold what the other waits for, and both end.
func TestBatchesThatOverlapShareTheirLoads(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		here, there := newCache[string](t, s), newCache[string](t, s)
		var l loadIDs
		gate := make(chan struct{})
		slow := func(ctx context.Context, ids []string) (map[string]string, error) {
			<-gate
			return l.load(ctx, ids)
		}
		var results []<-chan redistest.Result[map[string]string]
		for _, call := range []struct {
			c   *cache.Cache[string]
			ids []string
		}{
			{here, []string{"1", "2"}},
			{there, []string{"2", "3"}},
			{here, []string{"3", "1"}},
			{there, []string{"1", "2", "3"}},
		} {
			misses := call.c.Stats().Misses
			results = append(results, redistest.Async(func() (map[string]string, error) { return call.c.GetOrLoadMany(t.Context(), call.ids, slow) }))
			redistest.Eventually(t, func() bool { return call.c.Stats().Misses == misses+uint64(len(call.ids)) }, "the call has missed")
		}
		close(gate)
		for _, r := range results {
			got := <-r
			if got.Err != nil || len(got.Value) < 2 {
				t.Errorf("got %v, %v", got.Value, got.Err)
			}
			for id, v := range got.Value {
				if v != "of "+id {
					t.Errorf("%s holds %q", id, v)
				}
			}
		}
		loads := map[string]int{}
		for _, ids := range l.calls {
			for _, id := range ids {
				loads[id]++
			}
		}
		for id, n := range loads {
			if n != 1 {
				t.Errorf("%s was loaded %d times", id, n)
			}
		}
	})
}

func TestWhatAnotherProcessLoadsDoesNotWaitForTheRestOfItsBatch(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c, rdb := newCache[string](t, s), s.Client()
		rdb.Set(t.Context(), leaseOf(s, "held"), "another load", time.Minute)
		entered, open := make(chan struct{}), make(chan struct{})
		batch := redistest.Async(func() (map[string]string, error) {
			return c.GetOrLoadMany(t.Context(), []string{"held", "slow"}, func(_ context.Context, ids []string) (map[string]string, error) {
				if ids[0] == "slow" {
					close(entered)
					<-open
				}
				return map[string]string{ids[0]: "v"}, nil
			})
		})
		<-entered
		rdb.Del(t.Context(), leaseOf(s, "held"))
		redistest.Eventually(t, func() bool { return stored(t, s, "held") == `"v"` }, "it is loaded")
		close(open)
		if r := <-batch; r.Err != nil || len(r.Value) != 2 {
			t.Errorf("got %v, %v", r.Value, r.Err)
		}
	})
}

func TestAPartOfABatchThatRedisRefusesIsLoaded(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		c := newCacheOn[string](t, s, s.Hooked(func(next func() error, names ...string) error {
			if names[0] == "mget" {
				return redis.ErrPoolTimeout
			}
			return next()
		}))
		got, err := c.GetMany(t.Context(), []string{"1", "2"})
		if !errors.Is(err, redis.ErrPoolTimeout) || len(got) != 0 {
			t.Errorf("GetMany = %v, %v", got, err)
		}
		var l loadIDs
		got, err = c.GetOrLoadMany(t.Context(), []string{"1", "2"}, l.load)
		if err != nil || len(got) != 2 || len(l.calls) != 1 {
			t.Errorf("GetOrLoadMany = %v, %v after %v", got, err, l.calls)
		}
	})
}
