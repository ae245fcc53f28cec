package ratelimit_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

func TestLostRepliesAmongManyCallersNeverChargeTwice(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		const limit, callers, calls = 8_000, 64, 20
		for _, p := range []ratelimit.Policy{
			ratelimit.PerHour(limit), ratelimit.SlidingWindow(limit, time.Hour), ratelimit.GCRA(1, time.Hour, limit),
		} {
			proxy := redistest.StartProxy(t, s.Addr())
			rdb := s.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), 3 })
			l := newLimiterOn(t, s, rdb, ratelimit.Config{}, p)
			id := p.String()
			_ = allow(t, l, id, 1)
			var known, unknown atomic.Int64
			var all sync.WaitGroup
			for caller := range callers {
				all.Go(func() {
					for n := range calls {
						if caller == 0 && n%5 == 0 {
							proxy.DropReply(keyOf(s, id))
						}
						switch res, err := l.Allow(t.Context(), id); {
						case err != nil:
							t.Error(err)
						case res.Degraded:
							unknown.Add(1)
						default:
							known.Add(1)
						}
					}
				})
			}
			all.Wait()
			charged := limit - 1 - int64(peek(t, l, id).Remaining)
			if charged < known.Load() || charged > callers*calls || unknown.Load() == 0 {
				t.Errorf("%v: charged %d for %d calls, of which %d know that they were", p, charged, callers*calls, known.Load())
			}
		}
	})
}
