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

func TestCallsShareRoundTripsUnlessNoPipeliningIsSet(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		// Four calls by themselves and one or two pipelines, or all 64 by themselves.
		for noPipelining, want := range map[bool]int{false: 5, true: 64} {
			most := s.Crowd(t, want, func(rdb *redis.Client) func() {
				l := newLimiterOn(t, s, rdb, ratelimit.Config{NoPipelining: noPipelining}, ratelimit.PerHour(1000))
				return func() {
					if res, err := l.Allow(t.Context(), "1"); err != nil || res.Err != nil {
						t.Error(err, res.Err)
					}
				}
			})
			if most > max(want, 6) {
				t.Errorf("NoPipelining %v: %d round trips at once", noPipelining, most)
			}
		}
	})
}

func TestLostRepliesOfSharedRoundTripsNeverChargeTwice(t *testing.T) {
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
			var decided, degraded atomic.Int64
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
							degraded.Add(1)
						default:
							decided.Add(1)
						}
					}
				})
			}
			all.Wait()
			charged := limit - 1 - int64(peek(t, l, id).Remaining)
			if charged < decided.Load() || charged > callers*calls || degraded.Load() == 0 {
				t.Errorf("%v: charged %d for %d calls, of which %d have a reply", p, charged, callers*calls, decided.Load())
			}
		}
	})
}
