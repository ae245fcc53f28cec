package cache_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestCallsOfManyCallersShareRoundTripsUnlessNoPipeliningIsSet(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		calls := map[string]func(c *cache.Cache[string]) error{
			"Get": func(c *cache.Cache[string]) error {
				if _, err := c.Get(t.Context(), "1"); !errors.Is(err, cache.ErrMiss) {
					return err
				}
				return nil
			},
			"Set":    func(c *cache.Cache[string]) error { return c.Set(t.Context(), "2", "v") },
			"Delete": func(c *cache.Cache[string]) error { return c.Delete(t.Context(), "3") },
		}
		if err := calls["Set"](newCacheOn[string](t, s, s.Client())); err != nil { // the server knows its script from now on
			t.Fatal(err)
		}
		for name, call := range calls {
			// Four by themselves and one pipeline or two; or everybody.
			for alone, want := range map[bool]int{false: 5, true: 64} {
				most := s.Crowd(t, want, func(rdb *redis.Client) func() {
					c := newCacheOn[string](t, s, rdb, func(cfg *cache.Config) { cfg.NoPipelining = alone })
					return func() {
						if err := call(c); err != nil {
							t.Error(err)
						}
					}
				})
				if most > max(want, 6) {
					t.Errorf("%s, NoPipelining %v: %d round trips at once", name, alone, most)
				}
			}
		}
	})
}
