package ratelimit_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

// Of many that ask for one id at once, each gets the Result that it would have got in some
// order, one after the other.
func TestAHotIDIsChargedExactly(t *testing.T) {
	t.Parallel()
	for name, policies := range map[string][]ratelimit.Policy{
		"fixed":   {ratelimit.FixedWindow(1000, time.Hour)},
		"sliding": {ratelimit.SlidingWindow(1000, time.Hour)},
		"both":    {ratelimit.FixedWindow(1000, time.Hour), ratelimit.SlidingWindow(5000, 10*time.Hour)},
		"gcra":    {ratelimit.GCRA(1, time.Hour, 1000)},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Run(t, func(t *testing.T, s *redistest.Server) {
				l := newLimiter(t, s, policies...)
				type charge struct{ cost, remaining int }
				var mu sync.Mutex
				var allowed []charge
				denied := 0
				var all sync.WaitGroup
				for caller := range 64 {
					rng := rand.New(rand.NewPCG(1, uint64(caller)))
					all.Go(func() {
						for range 20 {
							cost := 1 + rng.IntN(3)
							res, err := l.AllowN(t.Context(), "hot", cost)
							mu.Lock()
							switch {
							case err != nil || res.Degraded:
								t.Errorf("%+v, %v", res, err)
							case res.Allowed:
								allowed = append(allowed, charge{cost, res.Remaining})
							default:
								denied++
								if res.Remaining >= cost || res.RetryAfter <= 0 {
									t.Errorf("%d of %d remaining were denied: %+v", cost, res.Remaining, res)
								}
							}
							mu.Unlock()
						}
					})
				}
				all.Wait()
				slices.SortFunc(allowed, func(a, b charge) int { return b.remaining - a.remaining })
				left := 1000
				for _, c := range allowed {
					if left -= c.cost; c.remaining != left {
						t.Fatalf("%d remain after a charge of %d, want %d", c.remaining, c.cost, left)
					}
				}
				if denied == 0 || left > 2 {
					t.Errorf("%d were denied, and %d remain", denied, left)
				}
			})
		})
	}
}
