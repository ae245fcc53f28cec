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

// A model decides what a policy must decide, in the plainest way: from all charges.
type model interface {
	// look returns how much remains at now, when n will be allowed, and when nothing
	// counts any more. Neither time is before now.
	look(now time.Duration, n int) (remaining int, retry, reset time.Duration)
	charge(now time.Duration, n int)
	forget()
}

type charged struct {
	at time.Duration
	n  int
}

// In a fixedModel a window begins with the first charge after the last window. It ends a
// millisecond early, because miniredis removes a key that early.
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

// In a slidingModel time is divided into tenths of the window, from the Unix epoch on. A
// charge counts until the eleventh tenth after its own begins.
type slidingModel struct {
	n       int
	per     time.Duration
	start   time.Duration // of the test, since the Unix epoch
	charges []charged
}

func (m *slidingModel) look(now time.Duration, n int) (int, time.Duration, time.Duration) {
	return sum(m.n, n, now, m.charges, func(c charged) time.Duration {
		span := m.per / 10
		return (m.start+c.at)/span*span + 11*span - m.start
	})
}

func (m *slidingModel) charge(now time.Duration, n int) {
	m.charges = append(m.charges, charged{now, n})
}
func (m *slidingModel) forget() { m.charges = nil }

// sum is look for charges that each count until end, in the order of their ends.
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

// A bucketModel is a bucket of tokens that gains one each interval.
type bucketModel struct {
	burst    int
	interval time.Duration
	debt     time.Duration // time until the bucket is full, at last
	last     time.Duration
}

func (m *bucketModel) look(now time.Duration, n int) (int, time.Duration, time.Duration) {
	m.debt, m.last = max(m.debt-(now-m.last), 0), now
	room := m.interval*time.Duration(m.burst) - m.debt
	return int(room / m.interval), now + max(m.interval*time.Duration(n)-room, 0), now + m.debt
}

func (m *bucketModel) charge(_ time.Duration, n int) { m.debt += m.interval * time.Duration(n) }
func (m *bucketModel) forget()                       { m.debt = 0 }

// The clock moves only by the steps of the test, so that all numbers are exact to the
// microsecond. The intervals of GCRA are such that floats hold them exactly.
func TestPoliciesDecideExactlyAsTheirModels(t *testing.T) {
	t.Parallel()
	const steps = 1500
	fixed := func(n int, per time.Duration) (ratelimit.Policy, func(time.Duration) model) {
		return ratelimit.FixedWindow(n, per), func(time.Duration) model { return &fixedModel{n: n, per: per} }
	}
	sliding := func(n int, per time.Duration) (ratelimit.Policy, func(time.Duration) model) {
		return ratelimit.SlidingWindow(n, per), func(start time.Duration) model {
			return &slidingModel{n: n, per: per, start: start}
		}
	}
	bucket := func(n int, per time.Duration, burst int) (ratelimit.Policy, func(time.Duration) model) {
		return ratelimit.GCRA(n, per, burst), func(time.Duration) model {
			return &bucketModel{burst: burst, interval: per / time.Duration(n)}
		}
	}
	type pair struct {
		policy   ratelimit.Policy
		newModel func(start time.Duration) model
	}
	of := func(p ratelimit.Policy, newModel func(time.Duration) model) pair { return pair{p, newModel} }
	for name, policies := range map[string][]pair{
		"fixed":            {of(fixed(10, time.Second))},
		"fixed 100ms":      {of(fixed(3, 100*time.Millisecond))},
		"sliding":          {of(sliding(10, time.Second))},
		"sliding 100ms":    {of(sliding(7, 100*time.Millisecond))},
		"gcra":             {of(bucket(8, time.Second, 5))},
		"gcra burst of 1":  {of(bucket(2, time.Second, 1))},
		"gcra hourly":      {of(bucket(100, time.Hour, 20))},
		"several":          {of(fixed(10, time.Second)), of(sliding(15, 2*time.Second)), of(fixed(40, 8*time.Second))},
		"sliding and more": {of(sliding(10, time.Second)), of(fixed(12, 1500*time.Millisecond))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				seed := rand.Uint64()
				rng := rand.New(rand.NewPCG(seed, 0))
				t.Logf("seed %d", seed)
				var list []ratelimit.Policy
				var models []model
				start := time.Now()
				shortest := time.Hour
				most := 1 << 30
				for _, p := range policies {
					list = append(list, p.policy)
					models = append(models, p.newModel(time.Duration(start.UnixNano())))
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
					peeked := false
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
						// A multiple of a 64th, so that some steps end exactly when a window does.
						time.Sleep(time.Duration(rng.IntN(40)) * shortest / 64 / time.Millisecond * time.Millisecond)
						continue
					case k < 50:
						got, n, peeked = peek(t, l, "1"), 1, true
					default:
						got = allow(t, l, "1", n)
					}
					if want := expect(list, models, now, n, !peeked); !want(got) {
						t.Fatalf("step %d, n = %d, peek %v: got %+v", step, n, peeked, got)
					}
				}
			})
		})
	}
}

// expect returns a function that reports whether a result is right. It charges the models
// if the request must be allowed and charge is set.
func expect(list []ratelimit.Policy, models []model, now time.Duration, n int, charge bool) func(ratelimit.Result) bool {
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

// near reports whether got is want, or later by at most the millisecond by which miniredis
// and redis-server differ.
func near(got, want time.Duration) bool {
	return got >= want && got <= want+time.Millisecond
}
