package cache_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestHitsAreComparedInPipelinesOf64(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	var most, others atomic.Int64
	rdb := s.Hooked(func(next func() error, names ...string) error {
		if len(names) > 2 && slices.ContainsFunc(names, func(name string) bool { return name != "get" }) {
			others.Add(1) // a read of one value is a GET and a PTTL
		}
		most.Store(max(most.Load(), int64(len(names)))) // checks are made one after the other
		return next()
	})
	c := newCacheOn[string](t, s, rdb, localOn, verified)
	c.VerifyUpTo(1000, 200*time.Millisecond)
	inUse(t, c)
	for i := range 130 {
		keeps(t, s, c, fmt.Sprint(i), "v")
	}
	redistest.Eventually(t, func() bool {
		for i := range 130 {
			near(t, c, fmt.Sprint(i))
		}
		return most.Load() >= 64
	}, "many hits are compared at once")
	if most.Load() != 64 || others.Load() != 0 {
		t.Errorf("%d commands in a round trip, and %d round trips with more than GETs", most.Load(), others.Load())
	}
}

func TestAComparisonWithTheSourceCostsAPTTLAGETAndALoad(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		c, src := newCacheOn[string](t, s, rdb, againstSource), newSource("v")
		want(t, get(t, c, src, "1"), "v")
		loads := c.Stats().Loads
		for range 3 {
			want(t, get(t, c, src, "1"), "v")
		}
		sent := map[string]int{}
		rdb.AddHook(redistest.Spy(func(cmd redis.Cmder) { sent[cmd.Name()]++ }))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if sent["get"] != 3 || sent["pttl"] != 3 || c.Stats().Loads != loads+3 {
			t.Errorf("sent %v; %d loads, want 3 of each", sent, c.Stats().Loads-loads)
		}
	})
}
