package ratelimit_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

func TestChargesOfManyCallersShareRoundTripsUnlessToldNotTo(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		// Four by themselves and one pipeline or two; or everybody.
		for alone, want := range map[bool]int{false: 5, true: 64} {
			most := s.Crowd(t, want, func(rdb *redis.Client) func() {
				l := newLimiterOn(t, s, rdb, ratelimit.Config{NoPipelining: alone}, ratelimit.PerHour(1000))
				return func() {
					if res, err := l.Allow(t.Context(), "1"); err != nil || res.Err != nil {
						t.Error(err, res.Err)
					}
				}
			})
			if most > max(want, 6) {
				t.Errorf("NoPipelining %v: %d round trips at once", alone, most)
			}
		}
	})
}
