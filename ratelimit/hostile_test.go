package ratelimit_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

// Whoever can write to Redis may have written anything. Then either no decision
// is made, or it is one that a caller can live with.
func TestWhateverIsStoredTheDecisionIsSound(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		for _, text := range hostile {
			decideOver(t, s, rdb, text, "1")
			decideOver(t, s, rdb, text, "-5")
			decideOver(t, s, rdb, "0", text)
		}
		for _, ahead := range []float64{-1e9, 0, 1, 59, 61, 1e6, 9e9, 1e10} { // of a clock that is kept as redis_rate does
			epoch := time.Date(2017, time.January, 1, 0, 0, 0, 0, time.UTC)
			decideOver(t, s, rdb, strconv.FormatFloat(time.Since(epoch).Seconds()+ahead, 'f', 6, 64), "1")
		}
	})
}

// FuzzWhateverIsStoredTheDecisionIsSound is that of any text.
func FuzzWhateverIsStoredTheDecisionIsSound(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, "1")
		f.Add("0", text)
	}
	s := redistest.Mini(f)
	rdb := s.Client()
	f.Fuzz(func(t *testing.T, text, count string) { decideOver(t, s, rdb, text, count) })
}

var hostile = []string{
	"", "0", "-0", "1", "-1", "5", "-5", "4.5", "01", "1e3", "0x10", " 1", "1 ", "nan", "-nan", "NaN", "inf", "-inf", "Infinity",
	"9007199254740993", "-9007199254740993", "999999999999999", "-999999999999999", "9223372036854775807",
	"1e18", "1e300", "-1e300", "1e-300", "five", "\x00", "1\x00", strings.Repeat("9", 400),
}

// decideOver lets each policy decide over what somebody else has stored: text
// where a counter or a timestamp belongs, and text with count where a bucket
// and its count do.
func decideOver(t *testing.T, s *redistest.Server, rdb *redis.Client, text, count string) {
	t.Helper()
	ctx, id := t.Context(), "1"
	plain := func(key string) { rdb.Set(ctx, key, text, time.Minute) }
	bucket := func(key string) { rdb.HSet(ctx, key, text, count); rdb.Expire(ctx, key, time.Minute) }
	for _, c := range []struct {
		policy ratelimit.Policy
		key    string
		write  func(key string)
	}{
		{ratelimit.PerMinute(5), keyOf(s, id), plain},
		{ratelimit.GCRA(5, time.Minute, 5), keys.Sibling("limit-gcra-1m-5-5", keyOf(s, id)), plain},
		{ratelimit.SlidingWindow(5, time.Minute), keys.Sibling("limit-sliding-1m", keyOf(s, id)), bucket},
	} {
		l, err := ratelimit.New(rdb, ratelimit.Config{Key: pattern(s)}, c.policy)
		if err != nil {
			t.Fatal(err)
		}
		rdb.Del(ctx, c.key)
		c.write(c.key)
		for op, ask := range map[string]func() (ratelimit.Result, error){
			"Peek":      func() (ratelimit.Result, error) { return l.Peek(ctx, id) },
			"Allow":     func() (ratelimit.Result, error) { return l.Allow(ctx, id) },
			"AllowN(3)": func() (ratelimit.Result, error) { return l.AllowN(ctx, id, 3) },
		} {
			res, err := ask()
			sound := !res.Degraded && res.Limit == 5 && res.Remaining >= 0 && res.Remaining <= 5 &&
				res.ResetAfter >= 0 && res.ResetAfter <= 67*time.Second && res.RetryAfter <= res.ResetAfter &&
				res.Allowed == (res.RetryAfter == 0) && res.RetryAfter >= 0
			if err == nil && !sound || err != nil && !errors.Is(err, ratelimit.ErrNotCounter) {
				t.Errorf("%v over %.30q, %.30q: %s = %+v, %v", c.policy, text, count, op, res, err)
			}
		}
		rdb.Del(ctx, c.key)
	}
}

func TestTheLargestAndTheShortestPoliciesLimit(t *testing.T) {
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

// A lost count is one that has not begun, and nothing can tell them apart.
func TestALostCountBeginsAnewAndIsNotTold(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		for _, p := range []ratelimit.Policy{ratelimit.PerHour(5), ratelimit.SlidingWindow(5, time.Hour), ratelimit.GCRA(5, time.Hour, 5)} {
			l := newLimiter(t, s, p)
			id := p.String()
			for range 2 {
				if res := allow(t, l, id, 5); !res.Allowed || res.Degraded {
					t.Errorf("%v: of no count: %+v", p, res)
				}
				if res := allow(t, l, id, 1); res.Allowed || res.Degraded {
					t.Errorf("%v: of a count that is there: %+v", p, res)
				}
				lost, err := rdb.Keys(t.Context(), "*"+keyOf(s, id)+"*").Result()
				if err != nil || len(lost) != 1 {
					t.Fatalf("%v: counts %q, %v", p, lost, err)
				}
				rdb.Del(t.Context(), lost...)
			}
			if got, want := l.Stats(), (ratelimit.Stats{Allowed: 2, Denied: 2}); got != want {
				t.Errorf("%v: Stats = %+v, want %+v", p, got, want)
			}
		}
	})
}
