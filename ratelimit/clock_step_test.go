package ratelimit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

// A step of the server's clock admits at most one limit more than otherwise, if it is
// forward, and nothing more, if it is back. After it, nobody waits for more than a window and
// the tenth by which a sliding window is counted longer.
func TestAStepOfTheServersClockAdmitsOneLimitMoreAndDelaysByOneWindow(t *testing.T) {
	t.Parallel()
	const every = 3 * time.Second // between two looks
	for _, limits := range []struct {
		policies []ratelimit.Policy
		most     int // within a minute, without a step
	}{
		{[]ratelimit.Policy{ratelimit.PerMinute(10)}, 20},
		{[]ratelimit.Policy{ratelimit.SlidingWindow(10, time.Minute)}, 10},
		{[]ratelimit.Policy{ratelimit.GCRA(10, time.Minute, 10)}, 20},
		{[]ratelimit.Policy{ratelimit.SlidingWindow(10, time.Minute), ratelimit.FixedWindow(1000, time.Hour)}, 10},
		{[]ratelimit.Policy{ratelimit.FixedWindow(10, time.Minute), ratelimit.FixedWindow(1000, time.Hour)}, 20},
	} {
		redistest.RunWithClock(t, func(t *testing.T, s *redistest.Server) {
			l := newLimiter(t, s, limits.policies...)
			for _, step := range []time.Duration{
				40 * time.Second, 70 * time.Second, 48 * time.Hour,
				-40 * time.Second, -70 * time.Second, -time.Hour, -48 * time.Hour,
			} {
				for _, when := range []time.Duration{0, 6 * time.Second, 57 * time.Second} {
					what := fmt.Sprintf("%v, %v after %v", limits.policies, step, when)
					most := limits.most
					if step > 0 {
						most += 10
					}
					admitted := map[time.Duration]int{}
					var last time.Duration
					for now := time.Duration(0); now < when+3*time.Minute; now += every {
						if now == when {
							s.StepClock(step)
						}
						passed, _ := exhaust(t, l, what)
						if admitted[now] = passed; passed > 0 {
							last = now
						}
						within := 0
						for ago := time.Duration(0); ago < time.Minute; ago += every {
							within += admitted[now-ago]
						}
						if within > most {
							t.Fatalf("%s: %d passed in the minute before %v, want %d at most", what, within, now, most)
						}
						if now-max(last, when) > 66*time.Second+every {
							t.Fatalf("%s: nothing passed from %v to %v", what, max(last, when), now)
						}
						s.Advance(every)
					}
				}
			}
		})
	}
}
