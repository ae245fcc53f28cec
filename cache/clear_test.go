package cache_test

import (
	"slices"
	"testing"
	"time"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestClearRemovesItsOwnAndNothingElse(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.StaleFor = time.Minute })
		other := []string{
			s.Prefix() + "::list", s.Prefix() + ":1:other", "rediskit:lease:{" + s.Prefix() + ":1:other}",
			"rediskit:lease:{0}:x}:" + s.Prefix() + ":1:list",
		}
		for _, key := range other {
			s.Client().Set(t.Context(), key, "kept", time.Minute)
		}
		ids := []string{"a", "b", "{", "a}b", "*", "\x00", "new\nline"}
		for _, id := range ids {
			if err := c.Set(t.Context(), id, "v"); err != nil {
				t.Fatal(err)
			}
		}
		src := newSource("old")
		slow, loading := slowLoad(t, c, src, "loading")

		var progress []int64
		n, err := c.Clear(t.Context(), func(removed int64) { progress = append(progress, removed) })
		if err != nil || n != int64(len(ids)) {
			t.Errorf("Clear = %d, %v; want %d", n, err, len(ids))
		}
		if len(progress) == 0 || progress[len(progress)-1] != n || !slices.IsSorted(progress) {
			t.Errorf("progress was called with %v, want a rise to %d", progress, n)
		}
		close(slow.open)
		<-loading
		left := s.Client().Keys(t.Context(), "*"+s.Prefix()+"*").Val()
		slices.Sort(left)
		slices.Sort(other)
		if !slices.Equal(left, other) {
			t.Errorf("left: %q\nwant: %q", left, other)
		}
	})
}
