package ratelimit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

// A fixed window alone has a script of its own. Whatever is stored, it decides and
// leaves behind what the script of several policies does.
func TestAFixedWindowAloneIsCountedAsAmongOthers(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		rdb, ctx := s.Client(), t.Context()
		window := ratelimit.PerMinute(5)
		alone := newLimiter(t, s, window)
		among := newLimiter(t, s, window, ratelimit.FixedWindow(1e9, time.Millisecond))
		key := keyOf(s, "1")
		for _, text := range []string{
			"none", "0", "1", "4", "5", "6", "-3", "999999999999999",
			"", "-0", "-", "01", "+1", " 1", "1 ", "1.0", "1e0", "0x1", "nan", "five", "9999999999999999",
		} {
			for _, ttl := range []time.Duration{0, time.Millisecond, time.Minute - time.Millisecond, time.Minute, time.Hour} {
				for n := range 6 { // 0 looks
					what := fmt.Sprintf("%q with a TTL of %v, n = %d", text, ttl, n)
					var seen [2]string
					for i, l := range []*ratelimit.Limiter{alone, among} {
						if rdb.Del(ctx, key); text != "none" {
							rdb.Set(ctx, key, text, ttl)
						}
						res, err := l.Peek(ctx, "1")
						if n > 0 {
							res, err = l.AllowN(ctx, "1", n)
						}
						seen[i] = fmt.Sprintf("%+v, %v; stored %q for %v", res, err, rdb.Get(ctx, key).Val(), rdb.PTTL(ctx, key).Val())
						if err == nil && res.Policy != window {
							t.Errorf("%s: it is not the window that binds: %s", what, seen[i])
						}
						time.Sleep(time.Second) // the other policy's counts end
					}
					if seen[0] != seen[1] {
						t.Errorf("%s:\nalone %s\namong %s", what, seen[0], seen[1])
					}
				}
			}
		}
		rdb.Del(ctx, key)
	})
}
