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

// Another program may have written anything to a limiter's keys. Then either no decision
// is made, or its numbers are possible.
func TestDecisionsArePossibleWhateverIsStored(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		for _, text := range storedTexts {
			decideOn(t, s, rdb, text, "1")
			decideOn(t, s, rdb, text, "-5")
			decideOn(t, s, rdb, "0", text)
		}
		for _, ahead := range []float64{-1e9, 0, 1, 59, 61, 1e6, 9e9, 1e10} { // seconds, in a timestamp of redis_rate
			epoch := time.Date(2017, time.January, 1, 0, 0, 0, 0, time.UTC)
			decideOn(t, s, rdb, strconv.FormatFloat(time.Since(epoch).Seconds()+ahead, 'f', 6, 64), "1")
		}
	})
}

// FuzzDecisionsArePossibleWhateverIsStored stores any text.
func FuzzDecisionsArePossibleWhateverIsStored(f *testing.F) {
	for _, text := range storedTexts {
		f.Add(text, "1")
		f.Add("0", text)
	}
	s := redistest.Mini(f)
	rdb := s.Client()
	f.Fuzz(func(t *testing.T, text, count string) { decideOn(t, s, rdb, text, count) })
}

// storedTexts are texts that a program may have stored in place of a count or a timestamp.
var storedTexts = []string{
	"", "0", "-0", "1", "-1", "5", "-5", "4.5", "01", "1e3", "0x10", " 1", "1 ", "nan", "-nan", "NaN", "inf", "-inf", "Infinity",
	"9007199254740993", "-9007199254740993", "999999999999999", "-999999999999999", "9223372036854775807",
	"1e18", "1e300", "-1e300", "1e-300", "five", "\x00", "1\x00", strings.Repeat("9", 400),
}

// decideOn lets each policy decide on what another program has stored: text in place of a
// counter or a timestamp, and text and count in place of a bucket's number and its count.
func decideOn(t *testing.T, s *redistest.Server, rdb *redis.Client, text, count string) {
	t.Helper()
	ctx, id := t.Context(), "1"
	setText := func(key string) { rdb.Set(ctx, key, text, time.Minute) }
	setHash := func(key string) { rdb.HSet(ctx, key, text, count); rdb.Expire(ctx, key, time.Minute) }
	for _, c := range []struct {
		policy ratelimit.Policy
		key    string
		write  func(key string)
	}{
		{ratelimit.PerMinute(5), keyOf(s, id), setText},
		{ratelimit.GCRA(5, time.Minute, 5), keys.Sibling("limit-gcra-1m-5-5", keyOf(s, id)), setText},
		{ratelimit.SlidingWindow(5, time.Minute), keys.Sibling("limit-sliding-1m", keyOf(s, id)), setHash},
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
			possible := !res.Degraded && res.Limit == 5 && res.Remaining >= 0 && res.Remaining <= 5 &&
				res.ResetAfter >= 0 && res.ResetAfter <= 67*time.Second && res.RetryAfter <= res.ResetAfter &&
				res.Allowed == (res.RetryAfter == 0) && res.RetryAfter >= 0
			if err == nil && !possible || err != nil && !errors.Is(err, ratelimit.ErrNotCounter) {
				t.Errorf("%v on %.30q, %.30q: %s = %+v, %v", c.policy, text, count, op, res, err)
			}
		}
		rdb.Del(ctx, c.key)
	}
}

// In Redis a lost count and one that has not begun are the same absent key.
func TestALostCountBeginsAnewAndIsNotReported(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		for _, p := range []ratelimit.Policy{ratelimit.PerHour(5), ratelimit.SlidingWindow(5, time.Hour), ratelimit.GCRA(5, time.Hour, 5)} {
			l := newLimiter(t, s, p)
			id := p.String()
			for range 2 {
				if res := allow(t, l, id, 5); !res.Allowed || res.Degraded {
					t.Errorf("%v: without a count: %+v", p, res)
				}
				if res := allow(t, l, id, 1); res.Allowed || res.Degraded {
					t.Errorf("%v: with a full count: %+v", p, res)
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
