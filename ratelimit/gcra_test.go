package ratelimit_test

import (
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

// redis_rate alone admits 99 of 100 per minute here, and 9 of 10 per second.
func TestGCRAIsExactForIntervalsThatAFloatCannotHold(t *testing.T) {
	t.Parallel()
	for _, p := range []ratelimit.Policy{
		ratelimit.GCRA(100, time.Minute, 100), ratelimit.GCRA(10, time.Second, 10), ratelimit.GCRA(3, time.Second, 1000),
		ratelimit.GCRA(7, time.Hour, 500), ratelimit.GCRA(90_000, time.Second, 3000),
	} {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			l := newLimiter(t, s, p)
			burst := allow(t, l, "1", 1).Limit
			for n := 1; n < burst; n++ {
				if res := allow(t, l, "1", 1); !res.Allowed || res.Remaining != burst-n-1 {
					t.Fatalf("%v: after %d got %+v", p, n+1, res)
				}
			}
			if res := allow(t, l, "1", 1); res.Allowed {
				t.Errorf("%v: %d passed at once", p, burst+1)
			}
			allow(t, l, "2", burst-3)
			if res := allow(t, l, "2", 4); res.Allowed || res.Remaining != 3 {
				t.Errorf("%v: 4 of 3: got %+v", p, res)
			}
		})
	}
}
