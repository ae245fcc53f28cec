package cache_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		roundTrips := redistest.Trips(rdb)
		c, src := newCacheOn[string](t, s, rdb), newSource("v")
		expect := func(what string, want int, call func() error) {
			t.Helper()
			if err := call(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got := roundTrips.Take(); got != want {
				t.Errorf("%s: %d round trips, want %d", what, got, want)
			}
		}
		load := func() error { return get(t, c, src, "1").Err }
		warm(t, c)
		_ = c.Set(t.Context(), "0", "v") // the server knows every script from here on
		roundTrips.Take()
		expect("a Set", 1, func() error { return c.Set(t.Context(), "0", "v") })
		expect("a miss: GET, acquire, fill", 3, load)
		expect("a hit", 1, load)
		expect("a Get", 1, func() error { _, err := c.Get(t.Context(), "1"); return err })
		expect("a Delete", 1, func() error { return c.Delete(t.Context(), "1") })
		expect("a Delete of three", 1, func() error { return c.Delete(t.Context(), "1", "2", "3") })

		ids := make([]string, 100)
		values := map[string]string{}
		for i := range ids {
			ids[i] = fmt.Sprint("many ", i)
			if i%10 != 0 {
				values[ids[i]] = "v"
			}
		}
		expect("a SetMany of 90", 1, func() error { return c.SetMany(t.Context(), values) })
		expect("a GetMany of 100", 1, func() error { _, err := c.GetMany(t.Context(), ids); return err })
		var l loadIDs
		many := func() error { _, err := c.GetOrLoadMany(t.Context(), ids, l.load); return err }
		expect("a GetOrLoadMany of 100 with 10 misses", 3, many)
		expect("a GetOrLoadMany of 100 hits", 1, many)
		if len(l.calls) != 1 || len(l.calls[0]) != 10 {
			t.Errorf("the loader was called for %v", l.calls)
		}

		ahead := newCacheOn[string](t, s, rdb, func(cfg *cache.Config) { cfg.RefreshAhead = cfg.TTL / 2 })
		expect("a hit with RefreshAhead", 1, func() error {
			_, err := ahead.GetOrLoad(t.Context(), ids[0], func(context.Context, string) (string, error) { return "", nil })
			return err
		})
	})
}
