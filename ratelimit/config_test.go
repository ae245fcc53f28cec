package ratelimit_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/ratelimit"
)

func TestNewReturnsWhatIsWrong(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // New sends nothing
	defer rdb.Close()
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	good := []ratelimit.Policy{ratelimit.PerMinute(100)}
	one := func(p ratelimit.Policy) []ratelimit.Policy { return []ratelimit.Policy{p} }
	minute := time.Minute
	for _, c := range []struct {
		want     string
		rdb      redis.UniversalClient
		cfg      ratelimit.Config
		policies []ratelimit.Policy
	}{
		{"needs a client", nil, ratelimit.Config{Key: "l:*"}, good},
		{"needs a client", (*redis.Client)(nil), ratelimit.Config{Key: "l:*"}, good},
		{"needs a client", (*redis.ClusterClient)(nil), ratelimit.Config{Key: "l:*"}, good},
		{"*redis.Ring", ring, ratelimit.Config{Key: "l:*"}, good},
		{"Config.Key is empty", rdb, ratelimit.Config{}, good},
		{"Config.Key has no '*'", rdb, ratelimit.Config{Key: "l"}, good},
		{"Config.WhenDown is 3", rdb, ratelimit.Config{Key: "l:*", WhenDown: 3}, good},
		{"Config.WhenDown is -1", rdb, ratelimit.Config{Key: "l:*", WhenDown: -1}, good},
		{"Config.DenyCache is -1", rdb, ratelimit.Config{Key: "l:*", DenyCache: -1}, good},
		{"Config.DenyCache is 100000000", rdb, ratelimit.Config{Key: "l:*", DenyCache: 1e8}, good},
		{"needs a policy", rdb, ratelimit.Config{Key: "l:*"}, nil},
		{"policy 1 is empty", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.Policy{})},
		{"n = 0", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.PerMinute(0))},
		{"n = -1", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.SlidingWindow(-1, minute))},
		{"n = 0", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.GCRA(0, minute, 1))},
		{"from 1 to 1e9", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.PerMinute(math.MaxInt))},
		{"per = 0s", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.FixedWindow(1, 0))},
		{"per = -1m0s", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.SlidingWindow(1, -minute))},
		{"per = 500µs", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.FixedWindow(1, 500*time.Microsecond))},
		{"whole milliseconds", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.FixedWindow(1, 1500*time.Microsecond))},
		{"366 days", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.FixedWindow(1, math.MaxInt64))},
		{"burst = 0", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.GCRA(1, minute, 0))},
		{"burst = -1", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.GCRA(1, minute, -1))},
		{"one per 10µs", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.GCRA(1e6, time.Second, 1))},
		{"more than 366 days", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.GCRA(1, time.Hour, 1e6))},
		{"unfit name", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.PerMinute(1).Named(""))},
		{"unfit name", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.PerMinute(1).Named("é"))},
		{"unfit name", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.PerMinute(1).Named("a\r\nb"))},
		{"unfit name", rdb, ratelimit.Config{Key: "l:*"}, one(ratelimit.PerMinute(1).Named(strings.Repeat("x", 65)))},
		{"policy 2 is a GCRA", rdb, ratelimit.Config{Key: "l:*"}, append(good, ratelimit.GCRA(1, minute, 1))},
		{"policies 1 and 2 have the same kind", rdb, ratelimit.Config{Key: "l:*"}, append(good, ratelimit.PerMinute(50))},
		{"the same name", rdb, ratelimit.Config{Key: "l:*"}, []ratelimit.Policy{ratelimit.PerMinute(1).Named("a"), ratelimit.PerHour(1).Named("a")}},
	} {
		_, err := ratelimit.New(c.rdb, c.cfg, c.policies...)
		if err == nil || !strings.HasPrefix(err.Error(), "ratelimit: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New = %v; want an error with %q", err, c.want)
		}
	}
	if _, err := ratelimit.New(rdb, ratelimit.Config{Key: "l:*"}, ratelimit.PerSecond(1), ratelimit.SlidingWindow(1, time.Second)); err != nil {
		t.Error(err)
	}
}
