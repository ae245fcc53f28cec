package ratelimit_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

// A reference says what a policy is to do, from the list of all charges.
type reference interface {
	// look says how much remains at now, and when n would be allowed and
	// nothing counts any more, both not before now.
	look(now time.Duration, n int) (remaining int, retry, reset time.Duration)
	charge(now time.Duration, n int)
	forget()
}

type charged struct {
	at time.Duration
	n  int
}

// fixedModel: a window begins with the first charge after the last one. It
// ends a millisecond early, because miniredis lets go of a key that early.
type fixedModel struct {
	n       int
	per     time.Duration
	begun   time.Duration
	charges []charged
}

func (m *fixedModel) look(now time.Duration, n int) (int, time.Duration, time.Duration) {
	end := m.begun + m.per - time.Millisecond
	if now >= end {
		m.charges = nil
	}
	return sum(m.n, n, now, m.charges, func(charged) time.Duration { return end })
}

func (m *fixedModel) charge(now time.Duration, n int) {
	if len(m.charges) == 0 {
		m.begun = now
	}
	m.charges = append(m.charges, charged{now, n})
}

func (m *fixedModel) forget() { m.charges = nil }

// slidingModel: a charge counts until the eleventh tenth of the window after
// that in which it came has begun. Tenths begin at the epoch.
type slidingModel struct {
	n       int
	per     time.Duration
	epoch   time.Duration // what the clock showed when the test's began
	charges []charged
}

func (m *slidingModel) look(now time.Duration, n int) (int, time.Duration, time.Duration) {
	return sum(m.n, n, now, m.charges, func(c charged) time.Duration {
		span := m.per / 10
		return (m.epoch+c.at)/span*span + 11*span - m.epoch
	})
}

func (m *slidingModel) charge(now time.Duration, n int) {
	m.charges = append(m.charges, charged{now, n})
}
func (m *slidingModel) forget() { m.charges = nil }

// sum looks at charges that each count until end, in their order.
func sum(limit, n int, now time.Duration, charges []charged, end func(charged) time.Duration) (int, time.Duration, time.Duration) {
	remaining, retry, reset := limit, now, now
	for _, c := range charges {
		if end(c) > now {
			remaining -= c.n
			reset = end(c)
		}
	}
	free := remaining
	for _, c := range charges {
		if free >= n {
			break
		}
		if end(c) > now {
			free += c.n
			retry = end(c)
		}
	}
	return remaining, retry, reset
}

// bucketModel: a bucket of tokens that gains one each interval.
type bucketModel struct {
	burst    int
	interval time.Duration
	debt     time.Duration // of time, as of last
	last     time.Duration
}

func (m *bucketModel) look(now time.Duration, n int) (int, time.Duration, time.Duration) {
	m.debt, m.last = max(m.debt-(now-m.last), 0), now
	room := m.interval*time.Duration(m.burst) - m.debt
	return int(room / m.interval), now + max(m.interval*time.Duration(n)-room, 0), now + m.debt
}

func (m *bucketModel) charge(_ time.Duration, n int) { m.debt += m.interval * time.Duration(n) }
func (m *bucketModel) forget()                       { m.debt = 0 }

// The clock stands still but for the steps of the test, so that all is exact
// to the microsecond. An interval of GCRA is one that its floats hold.
func TestPoliciesDoExactlyWhatTheirModelsDo(t *testing.T) {
	t.Parallel()
	const steps = 1500
	fixed := func(n int, per time.Duration) (ratelimit.Policy, func(time.Duration) reference) {
		return ratelimit.FixedWindow(n, per), func(time.Duration) reference { return &fixedModel{n: n, per: per} }
	}
	sliding := func(n int, per time.Duration) (ratelimit.Policy, func(time.Duration) reference) {
		return ratelimit.SlidingWindow(n, per), func(epoch time.Duration) reference {
			return &slidingModel{n: n, per: per, epoch: epoch}
		}
	}
	bucket := func(n int, per time.Duration, burst int) (ratelimit.Policy, func(time.Duration) reference) {
		return ratelimit.GCRA(n, per, burst), func(time.Duration) reference {
			return &bucketModel{burst: burst, interval: per / time.Duration(n)}
		}
	}
	type made struct {
		policy ratelimit.Policy
		model  func(time.Duration) reference
	}
	pair := func(p ratelimit.Policy, m func(time.Duration) reference) made { return made{p, m} }
	for name, policies := range map[string][]made{
		"fixed":            {pair(fixed(10, time.Second))},
		"fixed 100ms":      {pair(fixed(3, 100*time.Millisecond))},
		"sliding":          {pair(sliding(10, time.Second))},
		"sliding 100ms":    {pair(sliding(7, 100*time.Millisecond))},
		"gcra":             {pair(bucket(8, time.Second, 5))},
		"gcra without":     {pair(bucket(2, time.Second, 1))},
		"gcra hourly":      {pair(bucket(100, time.Hour, 20))},
		"several":          {pair(fixed(10, time.Second)), pair(sliding(15, 2*time.Second)), pair(fixed(40, 8*time.Second))},
		"sliding and more": {pair(sliding(10, time.Second)), pair(fixed(12, 1500*time.Millisecond))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				seed := rand.Uint64()
				rng := rand.New(rand.NewPCG(seed, 0))
				t.Logf("seed %d", seed)
				var list []ratelimit.Policy
				var models []reference
				start := time.Now()
				shortest := time.Hour
				most := 1 << 30
				for _, p := range policies {
					list = append(list, p.policy)
					models = append(models, p.model(time.Duration(start.UnixNano())))
				}
				l := newLimiter(t, s, list...)
				for _, p := range list {
					res := peek(t, newLimiter(t, s, p), "unused")
					most = min(most, res.Limit)
				}
				if strings.Contains(name, "100ms") {
					shortest = 100 * time.Millisecond
				} else if name != "gcra hourly" {
					shortest = time.Second
				}
				for step := range steps {
					now := time.Since(start)
					n := 1 + rng.IntN(most)
					if rng.IntN(2) == 0 {
						n = 1
					}
					var got ratelimit.Result
					looks := 0
					switch k := rng.IntN(100); {
					case k < 2:
						if err := l.Reset(t.Context(), "1"); err != nil {
							t.Fatal(err)
						}
						for _, m := range models {
							m.forget()
						}
						continue
					case k < 40:
						// In 64ths, so that ends are met exactly.
						time.Sleep(time.Duration(rng.IntN(40)) * shortest / 64 / time.Millisecond * time.Millisecond)
						continue
					case k < 50:
						got, n, looks = peek(t, l, "1"), 1, 1
					default:
						got = allow(t, l, "1", n)
					}
					if want := expect(list, models, now, n, looks == 0); !want(got) {
						t.Fatalf("step %d, n = %d, peek %v: got %+v", step, n, looks == 1, got)
					}
				}
			})
		})
	}
}

// expect says whether a result is right, and charges the models if it should
// have been allowed.
func expect(list []ratelimit.Policy, models []reference, now time.Duration, n int, charge bool) func(ratelimit.Result) bool {
	allowed := true
	for _, m := range models {
		if _, retry, _ := m.look(now, n); retry > now {
			allowed = false
		}
	}
	retries := make([]time.Duration, len(models))
	var longest time.Duration
	least := 1 << 30
	for i, m := range models {
		if !allowed {
			_, retry, _ := m.look(now, n)
			retries[i] = retry - now
			longest = max(longest, retries[i])
		} else if charge {
			m.charge(now, n)
		}
		remaining, _, _ := m.look(now, 0)
		least = min(least, remaining)
	}
	return func(got ratelimit.Result) bool {
		i := slices.Index(list, got.Policy)
		if i < 0 || got.Allowed != allowed || got.Degraded || got.Err != nil {
			return false
		}
		remaining, _, reset := models[i].look(now, 0)
		binding := allowed && remaining == least || !allowed && near(retries[i], longest)
		return binding && got.Remaining == remaining && near(got.RetryAfter, longest) && near(got.ResetAfter, reset-now)
	}
}

// near says whether got is want, or later by no more than the millisecond in
// which miniredis and redis-server differ.
func near(got, want time.Duration) bool {
	return got >= want && got <= want+time.Millisecond
}
