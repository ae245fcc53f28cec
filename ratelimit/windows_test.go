package ratelimit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

// A single fixed window has a script of its own. Whatever is stored, that script decides
// and stores the same as the script for several policies: to the millisecond where time
// stands still.
func TestASingleFixedWindowCountsLikeOneOfSeveralPolicies(t *testing.T) {
	t.Parallel()
	ttls := []time.Duration{0, time.Minute - time.Millisecond, time.Minute, time.Hour}
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			compareSingleWithSeveral(t, s, time.Duration.String, append(ttls, time.Millisecond))
		})
	})
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		compareSingleWithSeveral(t, s, func(d time.Duration) string { return fmt.Sprint(d > 0, d > 2*time.Minute) }, ttls)
	})
}

func compareSingleWithSeveral(t *testing.T, s *redistest.Server, format func(time.Duration) string, ttls []time.Duration) {
	t.Helper()
	rdb, ctx := s.Client(), t.Context()
	window := ratelimit.PerMinute(5)
	single := newLimiter(t, s, window)
	several := newLimiter(t, s, window, ratelimit.FixedWindow(1e9, time.Hour))
	key := keyOf(s, "1")
	for _, stored := range []string{
		"none", "list", "hash", "0", "1", "4", "5", "6", "-3", "999999999999999",
		"", "-0", "-", "01", "+1", " 1", "1 ", "1.0", "1e0", "0x1", "nan", "five", "9999999999999999",
	} {
		for _, ttl := range ttls {
			for n := range 6 { // 0 is Peek
				what := fmt.Sprintf("%q with a TTL of %v, n = %d", stored, ttl, n)
				var outcomes [2]string
				for i, l := range []*ratelimit.Limiter{single, several} {
					if err := l.Reset(ctx, "1"); err != nil {
						t.Fatal(err)
					}
					switch stored {
					case "none":
					case "list":
						rdb.RPush(ctx, key, "1")
						rdb.PExpire(ctx, key, time.Minute)
					case "hash":
						rdb.HSet(ctx, key, "1", "1")
						rdb.PExpire(ctx, key, time.Minute)
					default:
						rdb.Set(ctx, key, stored, ttl)
					}
					res, err := l.Peek(ctx, "1")
					if n > 0 {
						res, err = l.AllowN(ctx, "1", n)
					}
					if err == nil && res.Policy != window {
						t.Errorf("%s: the window does not bind: %+v", what, res)
					}
					outcomes[i] = fmt.Sprintf("%v, %d of %d, retry %s, reset %s, %v; stored %q for %s",
						res.Allowed, res.Remaining, res.Limit, format(res.RetryAfter), format(res.ResetAfter), err,
						rdb.Get(ctx, key).Val(), format(rdb.PTTL(ctx, key).Val()))
				}
				if outcomes[0] != outcomes[1] {
					t.Errorf("%s:\nsingle  %s\nseveral %s", what, outcomes[0], outcomes[1])
				}
			}
		}
	}
	rdb.Del(ctx, key)
}
