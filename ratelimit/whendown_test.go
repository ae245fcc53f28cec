package ratelimit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

var everyPolicy = []ratelimit.Policy{
	ratelimit.PerHour(3), ratelimit.SlidingWindow(3, time.Hour), ratelimit.GCRA(3, time.Hour, 3),
}

func TestWhenDownDecidesAfterRedisIsKilled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := server.Client()
	server.Kill()
	for _, p := range everyPolicy {
		for down, want := range map[ratelimit.WhenDown]int{
			ratelimit.FailOpen: 5, ratelimit.FailClosed: 0, ratelimit.Local: 3,
		} {
			var onError redistest.Recorder
			l, err := ratelimit.New(rdb, ratelimit.Config{Key: "limit:*", WhenDown: down, OnError: onError.OnError}, p)
			if err != nil {
				t.Fatal(err)
			}
			passed := 0
			for range 5 {
				res := allow(t, l, "1", 1)
				if !res.Degraded || res.Err == nil || res.Policy != p || res.Limit != 3 {
					t.Errorf("%v, %v: got %+v, want it Degraded", p, down, res)
				}
				if res.Allowed {
					passed++
				} else if res.RetryAfter <= 0 {
					t.Errorf("%v, %v: a denial without RetryAfter: %+v", p, down, res)
				}
			}
			if passed != want {
				t.Errorf("%v, %v: %d of 5 passed, want %d", p, down, passed, want)
			}
			if res := peek(t, l, "1"); res.Allowed != (down == ratelimit.FailOpen) || !res.Degraded {
				t.Errorf("%v, %v: Peek = %+v", p, down, res)
			}
			if err := l.Reset(t.Context(), "1"); err == nil {
				t.Errorf("%v, %v: Reset returned no error", p, down)
			}
			if res := peek(t, l, "1"); res.Allowed != (down != ratelimit.FailClosed) {
				t.Errorf("%v, %v: after Reset Peek = %+v", p, down, res)
			}
			got := l.Stats()
			if got.DegradedAllowed != uint64(want) || got.DegradedDenied != uint64(5-want) || got.RedisErrors != 8 || got.Allowed+got.Denied != 0 {
				t.Errorf("%v, %v: %+v", p, down, got)
			}
			if len(onError.All()) != 7 {
				t.Errorf("%v, %v: OnError received %d errors, want 7", p, down, len(onError.All()))
			}
		}
	}
}

func TestAnEndedContextIsNotAnOutage(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		for _, p := range everyPolicy {
			l := newLimiterOn(t, s, s.Client(func(o *redis.Options) { o.Addr = proxy.Addr() }), ratelimit.Config{}, p)
			allow(t, l, "warm", 1)
			proxy.BlackHole()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			res, err := l.Allow(ctx, "1")
			cancel()
			proxy.Heal()
			if !errors.Is(err, context.DeadlineExceeded) || res.Allowed || res.Degraded {
				t.Errorf("%v: got %+v, %v; want the context's error and nothing allowed", p, res, err)
			}
			if got := l.Stats(); got.RedisErrors != 0 || got.DegradedAllowed != 0 {
				t.Errorf("%v: %+v, want no failure of Redis", p, got)
			}
		}
	})
}

func TestWhenDownDecidesIfRedisRefuses(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	for _, p := range everyPolicy {
		l, err := ratelimit.New(server.Client(), ratelimit.Config{Key: "limit:*", WhenDown: ratelimit.FailClosed}, p)
		if err != nil {
			t.Fatal(err)
		}
		if res := allow(t, l, "1", 1); res.Allowed || !res.Degraded || !redis.HasErrorPrefix(res.Err, "OOM") {
			t.Errorf("%v: got %+v, want a degraded denial: OOM", p, res)
		}
	}
}

// Without Redis, policies decide in one process as they do in Redis.
func TestLocalPoliciesDecideAsRedisDoes(t *testing.T) {
	t.Parallel()
	for _, list := range [][]ratelimit.Policy{
		{ratelimit.PerMinute(10)},
		{ratelimit.SlidingWindow(10, time.Minute)},
		{ratelimit.GCRA(10, 80*time.Second, 10)},
		{ratelimit.PerSecond(3), ratelimit.SlidingWindow(10, time.Minute)},
	} {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			// The buckets of a sliding window in Redis begin at the same time as the local ones.
			time.Sleep(time.Minute - time.Duration(time.Now().UnixNano())%time.Minute)
			down := s.Hooked(func(func() error, ...string) error { return errors.New("down") })
			local, inRedis := newLimiterOn(t, s, down, ratelimit.Config{WhenDown: ratelimit.Local}, list...), newLimiter(t, s, list...)
			for step := range 500 {
				n := 1 + step*7%3
				got, want := allow(t, local, "1", n), allow(t, inRedis, "1", n)
				got.Degraded, got.Err = false, nil
				if got.Allowed != want.Allowed || got.Remaining != want.Remaining || got.Policy != want.Policy ||
					(got.RetryAfter-want.RetryAfter).Abs() > 2*time.Millisecond || (got.ResetAfter-want.ResetAfter).Abs() > 2*time.Millisecond {
					t.Fatalf("%v, step %d: got %+v, want %+v", list, step, got, want)
				}
				time.Sleep(time.Duration(1+step*step%13) * 500 * time.Millisecond)
			}
		})
	}
}

// It stays until somebody mends it, so that WhenDown would hide it for ever.
func TestAMissingPermissionIsAnErrorAndNoOutage(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		_, as := s.User("+@all allkeys -evalsha -eval")
		for _, down := range []ratelimit.WhenDown{ratelimit.FailOpen, ratelimit.FailClosed, ratelimit.Local} {
			l, err := ratelimit.New(s.Client(as), ratelimit.Config{Key: s.Prefix() + ":*", WhenDown: down}, everyPolicy[0])
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				res, err := l.Allow(t.Context(), "1")
				if !redis.HasErrorPrefix(errors.Unwrap(err), "NOPERM") || res.Allowed || res.Degraded {
					t.Errorf("%v: %+v, %v", down, res, err)
				}
			}
		}
	})
}
