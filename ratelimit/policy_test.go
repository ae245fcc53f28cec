package ratelimit_test

import (
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

func TestAPolicyIsNamedByItsNumbers(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]ratelimit.Policy{
		"5 per 1s":                       ratelimit.PerSecond(5),
		"100 per 1m":                     ratelimit.PerMinute(100),
		"100 per 1h":                     ratelimit.PerHour(100),
		"100 per 1h10m":                  ratelimit.FixedWindow(100, 70*time.Minute),
		"3 per 10s sliding":              ratelimit.SlidingWindow(3, 10*time.Second),
		"10 per 1s burst 20":             ratelimit.GCRA(10, time.Second, 20),
		`the "free" plan\of conversions`: ratelimit.PerHour(1).Named(`the "free" plan\of conversions`),
	} {
		if got := p.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTheLargestAndTheShortestPoliciesWork(t *testing.T) {
	t.Parallel()
	const most, year = 1e9, 366 * 24 * time.Hour
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, p := range []ratelimit.Policy{
			ratelimit.FixedWindow(most, year), ratelimit.SlidingWindow(most, year), ratelimit.GCRA(most, year, most),
			ratelimit.FixedWindow(1, year), ratelimit.SlidingWindow(1, year), ratelimit.GCRA(1, year, 1),
			ratelimit.GCRA(100, time.Millisecond, most),
		} {
			l := newLimiter(t, s, p)
			limit := peek(t, l, "1").Limit
			if res := allow(t, l, p.String(), limit); !res.Allowed || res.Degraded || res.ResetAfter <= 0 || res.ResetAfter > year*11/10+time.Second {
				t.Errorf("%v: all at once: %+v", p, res)
			}
			if res := allow(t, l, p.String(), limit); res.Allowed || res.Degraded || res.RetryAfter <= 0 || res.RetryAfter > year*11/10 {
				t.Errorf("%v: and again: %+v", p, res)
			}
		}
		for _, p := range []ratelimit.Policy{ratelimit.FixedWindow(1, time.Millisecond), ratelimit.SlidingWindow(1, time.Millisecond)} {
			l := newLimiter(t, s, p)
			for range 3 {
				if res := allow(t, l, p.String(), 1); res.Allowed {
					s.Advance(res.ResetAfter)
				} else {
					t.Errorf("%v: denied in a new window: %+v", p, res)
				}
			}
		}
	})
}
