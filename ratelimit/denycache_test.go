package ratelimit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

// withDenyCache returns a limiter with a deny cache, and a counter of its round trips.
func withDenyCache(t *testing.T, s *redistest.Server, size int, p ratelimit.Policy) (*ratelimit.Limiter, *redistest.Counter) {
	rdb := s.Client()
	trips := redistest.Trips(rdb)
	return newLimiterOn(t, s, rdb, ratelimit.Config{DenyCache: size}, p), trips
}

func TestARememberedDenialCostsNoRoundTripUntilItsRetryAfter(t *testing.T) {
	t.Parallel()
	for _, p := range []ratelimit.Policy{
		ratelimit.PerMinute(3), ratelimit.SlidingWindow(3, time.Minute), ratelimit.GCRA(3, time.Minute, 3),
	} {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			l, trips := withDenyCache(t, s, 10, p)
			_, denial := exhaust(t, l, "1")
			trips.Take()
			half := denial.RetryAfter / 2
			time.Sleep(half)
			for range 3 {
				res := allow(t, l, "1", 1)
				if res.Allowed || res.RetryAfter != denial.RetryAfter-half || res.ResetAfter != denial.ResetAfter-half || res.Policy != p || res.Limit != 3 {
					t.Errorf("%v: got %+v, want the denial, %v later", p, res, half)
				}
			}
			if got := trips.Take(); got != 0 {
				t.Errorf("%v: %d round trips for remembered denials", p, got)
			}
			if got := l.Stats(); got.DenyCacheHits != 3 || got.Denied != 1 {
				t.Errorf("%v: %+v", p, got)
			}
			time.Sleep(denial.RetryAfter - half)
			if res := allow(t, l, "1", 1); !res.Allowed || trips.Take() != 1 {
				t.Errorf("%v: after RetryAfter got %+v", p, res)
			}
		})
	}
}

func TestARememberedDenialOfFiveDoesNotDenyOne(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		l, trips := withDenyCache(t, s, 10, ratelimit.PerHour(7))
		allow(t, l, "1", 4)
		if res := allow(t, l, "1", 5); res.Allowed {
			t.Fatal("5 of 3")
		}
		if res := allow(t, l, "1", 1); !res.Allowed {
			t.Errorf("got %+v, want 1 of 3 allowed", res)
		}
		allow(t, l, "1", 2)
		trips.Take()
		allow(t, l, "1", 1) // denied, and remembered in place of the denial of 5
		allow(t, l, "1", 5)
		allow(t, l, "1", 1)
		if got := trips.Take(); got != 2 {
			t.Errorf("%d round trips, want 2: only the last request was answered by the deny cache", got)
		}
	})
}

func TestResetRemovesARememberedDenial(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		l, _ := withDenyCache(t, s, 10, ratelimit.PerHour(3))
		exhaust(t, l, "1")
		if err := l.Reset(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		if res := allow(t, l, "1", 1); !res.Allowed || res.Remaining != 2 {
			t.Errorf("after Reset got %+v", res)
		}
	})
}

func TestARememberedDenialOutlivesAResetByAnotherLimiter(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		l, trips := withDenyCache(t, s, 10, ratelimit.PerHour(3))
		other, _ := withDenyCache(t, s, 10, ratelimit.PerHour(3))
		exhaust(t, l, "1")
		if err := other.Reset(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		trips.Take()
		if res := allow(t, l, "1", 1); res.Allowed || trips.Take() != 0 {
			t.Errorf("the first Limiter got %+v", res)
		}
		if res := allow(t, other, "1", 1); !res.Allowed {
			t.Errorf("the other one got %+v", res)
		}
	})
}

// Redis denies, a Reset follows, and only then the denial arrives.
func TestADenialThatArrivesAfterAResetIsNotRemembered(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		decided, release := make(chan struct{}), make(chan struct{})
		hold := false
		rdb := s.Hooked(func(next func() error, names ...string) error {
			err := next()
			if hold && strings.HasPrefix(names[0], "eval") {
				hold = false
				close(decided)
				<-release
			}
			return err
		})
		l := newLimiterOn(t, s, rdb, ratelimit.Config{DenyCache: 10}, ratelimit.PerHour(3))
		allow(t, l, "1", 3)
		hold = true
		late := redistest.Async(func() (ratelimit.Result, error) { return l.Allow(t.Context(), "1") })
		<-decided
		if err := l.Reset(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		close(release)
		if got := <-late; got.Err != nil || got.Value.Allowed {
			t.Fatalf("got %+v, want the denial", got)
		}
		if res := allow(t, l, "1", 1); !res.Allowed {
			t.Errorf("after Reset got %+v", res)
		}
	})
}

func TestTheDenyCacheKeepsNoMoreIDsThanConfigured(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		l, _ := withDenyCache(t, s, 5, ratelimit.PerHour(1))
		for range 3 {
			for i := range 20 {
				allow(t, l, fmt.Sprint(i), 1)
			}
		}
		remembered := 0
		for i := range 20 {
			before := l.Stats().DenyCacheHits
			allow(t, l, fmt.Sprint(i), 1)
			if l.Stats().DenyCacheHits > before {
				remembered++
			}
		}
		if remembered > 10 {
			t.Errorf("%d of 20 ids were remembered, though there is room for 5", remembered)
		}
	})
}

func TestADegradedDenialIsNotRemembered(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		down := true
		rdb := s.Hooked(func(next func() error, _ ...string) error {
			if down {
				return errors.New("down")
			}
			return next()
		})
		l := newLimiterOn(t, s, rdb, ratelimit.Config{DenyCache: 5, WhenDown: ratelimit.FailClosed}, ratelimit.PerHour(1))
		allow(t, l, "1", 1)
		down = false
		if res := allow(t, l, "1", 1); !res.Allowed {
			t.Errorf("once Redis is back got %+v", res)
		}
	})
}

func BenchmarkRememberedDenial(b *testing.B) {
	s := redistest.Real(b)
	l, err := ratelimit.New(s.Client(), ratelimit.Config{Key: pattern(s), DenyCache: 1000}, ratelimit.PerHour(1))
	if err != nil {
		b.Fatal(err)
	}
	exhaust(b, l, "1")
	b.ReportAllocs()
	for b.Loop() {
		if res, err := l.Allow(b.Context(), "1"); err != nil || res.Allowed {
			b.Fatal(res, err)
		}
	}
}
