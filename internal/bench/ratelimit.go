package main

import (
	"context"
	"errors"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/ulule/limiter/v3"
	limiterredis "github.com/ulule/limiter/v3/drivers/store/redis"

	"github.com/convkit/rediskit/ratelimit"
)

const plenty = 1_000_000_000 // a limit that is never reached

// A limited call returns whether it was allowed.
type limited func(context.Context) (allowed bool, err error)

// Contests of requests that are allowed. INCR only counts: it does not limit, and sets no
// TTL.

func fixedWindows(name string) contest {
	return allowances(name, func(a *arena) []contestant {
		return []contestant{
			expect(true, "rediskit", ours(a, 0, ratelimit.FixedWindow(plenty, time.Hour))),
			expect(true, "ulule-limiter", ulule(a, plenty)),
			expect(true, "bare-INCR", incr(a)),
		}
	})
}

func slidingWindows(name string) contest {
	return allowances(name, func(a *arena) []contestant {
		return []contestant{
			expect(true, "rediskit", ours(a, 0, ratelimit.SlidingWindow(plenty, time.Hour))),
			expect(true, "bare-INCR", incr(a)),
		}
	})
}

func gcras(name string) contest {
	return allowances(name, func(a *arena) []contestant {
		return []contestant{
			expect(true, "rediskit", ours(a, 0, ratelimit.GCRA(10_000, time.Second, plenty))),
			expect(true, "redis_rate", redisRate(a, redis_rate.Limit{Rate: 10_000, Period: time.Second, Burst: plenty})),
			expect(true, "bare-INCR", incr(a)),
		}
	})
}

// denials repeats a request that was just denied.
func denials(name string) contest {
	return allowances(name, func(a *arena) []contestant {
		one := ratelimit.FixedWindow(1, time.Hour)
		return []contestant{
			expect(false, "rediskit", ours(a, 1000, one)),
			expect(false, "rediskit-without-DenyCache", ours(a, 0, one)),
			expect(false, "ulule-limiter", ulule(a, 1)),
			expect(false, "redis_rate", redisRate(a, redis_rate.Limit{Rate: 1, Period: time.Hour, Burst: 1})),
		}
	})
}

func allowances(name string, enter func(*arena) []contestant) contest {
	return contest{name: name, goroutines: levels, enter: enter}
}

// expect returns a contestant whose calls must all be allowed, or all be denied.
func expect(allowed bool, by string, call limited) contestant {
	return contestant{by: by, call: func(ctx context.Context, _ int) error {
		got, err := call(ctx)
		if err == nil && got != allowed {
			err = errors.New("the limiter made the wrong decision")
		}
		return err
	}}
}

// used makes the one request that a limiter of denials allows.
func used(a *arena, call limited) limited {
	_ = must(call(a.ctx))
	return call
}

func ours(a *arena, denyCache int, policy ratelimit.Policy) limited {
	key := map[bool]string{true: "cached:*", false: "limit:*"}[denyCache > 0]
	l := must(ratelimit.New(a.rediskit(), ratelimit.Config{Key: key, DenyCache: denyCache}, policy))
	return used(a, func(ctx context.Context) (bool, error) {
		res, err := l.Allow(ctx, "user_1")
		if err == nil {
			err = res.Err
		}
		return res.Allowed, err
	})
}

func ulule(a *arena, n int64) limited {
	store := must(limiterredis.NewStoreWithOptions(a.goRedis(), limiter.StoreOptions{Prefix: "ulule"}))
	l := limiter.New(store, limiter.Rate{Period: time.Hour, Limit: n})
	return used(a, func(ctx context.Context) (bool, error) {
		res, err := l.Get(ctx, "user_1")
		return !res.Reached, err
	})
}

func redisRate(a *arena, limit redis_rate.Limit) limited {
	l := redis_rate.NewLimiter(a.goRedis())
	return used(a, func(ctx context.Context) (bool, error) {
		res, err := l.Allow(ctx, "user_1", limit)
		return err == nil && res.Allowed > 0, err
	})
}

func incr(a *arena) limited {
	rdb := a.goRedis()
	return func(ctx context.Context) (bool, error) { return true, rdb.Incr(ctx, "incr").Err() }
}
