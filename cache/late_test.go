package cache_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// Redis answers reads and no script, as when its memory is full: no load has a lease that
// says whether its value is still right for a caller that joined late. Each time a load
// ends, the next one runs already. The caller joins that one, and is late again.
func TestACallerThatJoinedEightLoadsTooLateLoadsBesideTheNextAndNoEarlierOne(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCacheOn[string](t, s, s.Hooked(func(next func() error, names ...string) error {
			if names[0] == "evalsha" {
				return redis.ErrPoolTimeout
			}
			return next()
		}))
		src, own := newSource("v"), newSource("its own")
		slow, leader := slowLoad(t, c, src, "1")
		late := redistest.Async(func() (string, error) { return c.GetOrLoad(t.Context(), "1", own.load) })
		for n := uint64(1); n <= 8; n++ {
			redistest.Eventually(t, func() bool { return c.Stats().Shared == n }, fmt.Sprintf("the caller joins load %d", n))
			if err := c.Delete(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
			next, nextLeader := slowLoad(t, c, src, "1") // under way before the caller looks for it
			if own.count() > 0 {
				t.Fatalf("the caller loads beside load %d", n)
			}
			close(slow.open)
			want(t, <-leader, "v")
			slow, leader = next, nextLeader
		}
		want(t, <-late, "its own") // so it gets an answer, however many loads there are
		close(slow.open)
		want(t, <-leader, "v")
	})
}
