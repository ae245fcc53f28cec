package ratelimit_test

import (
	"context"
	"fmt"
	"time"

	"github.com/convkit/rediskit/ratelimit"
)

// A request passes if every policy allows it. It is charged to all of them or to
// none. Result.Policy is the one that binds.
func ExampleNew_severalPolicies() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"},
		ratelimit.SlidingWindow(2, time.Minute).Named("burst"),
		ratelimit.FixedWindow(5, 24*time.Hour).Named("daily"),
	)
	if err != nil {
		panic(err)
	}
	for range 3 {
		res, err := limiter.Allow(ctx, "user_1")
		fmt.Println(res.Allowed, res.Policy, res.Remaining, err)
	}
	// Output:
	// true burst 1 <nil>
	// true burst 0 <nil>
	// false burst 0 <nil>
}

// A fixed window counts under the plain key, together with programs that call INCR
// and EXPIRE.
func ExampleFixedWindow() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.FixedWindow(3, time.Minute))
	if err != nil {
		panic(err)
	}
	rdb.Incr(ctx, "rate_limit:user_1") // another program
	rdb.Expire(ctx, "rate_limit:user_1", time.Minute)

	res, err := limiter.Allow(ctx, "user_1")
	fmt.Println(res.Allowed, res.Remaining, err)
	fmt.Println(rdb.Get(ctx, "rate_limit:user_1").Val())
	// Output:
	// true 1 <nil>
	// 2
}

// A sliding window allows no double burst: each request counts for at least a minute.
func ExampleSlidingWindow() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.SlidingWindow(2, time.Minute))
	if err != nil {
		panic(err)
	}
	start := time.Unix(1764000000, 0)
	for _, elapsed := range []time.Duration{0, 55 * time.Second, 61 * time.Second, 66 * time.Second} {
		server.SetTime(start.Add(elapsed))
		res, err := limiter.Allow(ctx, "user_1")
		fmt.Println(elapsed, res.Allowed, res.RetryAfter, err)
	}
	// Output:
	// 0s true 0s <nil>
	// 55s true 0s <nil>
	// 1m1s false 5s <nil>
	// 1m6s true 0s <nil>
}

// GCRA spreads requests evenly: here one a second on average, and up to three at
// once after a pause.
func ExampleGCRA() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.GCRA(60, time.Minute, 3))
	if err != nil {
		panic(err)
	}
	now := time.Unix(1764000000, 0)
	server.SetTime(now)
	for range 4 {
		res, err := limiter.Allow(ctx, "user_1")
		fmt.Println(res.Allowed, res.Remaining, res.RetryAfter, err)
	}
	server.SetTime(now.Add(time.Second))
	res, err := limiter.Allow(ctx, "user_1")
	fmt.Println(res.Allowed, res.Remaining, res.RetryAfter, err)
	// Output:
	// true 2 0s <nil>
	// true 1 0s <nil>
	// true 0 0s <nil>
	// false 0 1s <nil>
	// true 0 0s <nil>
}
