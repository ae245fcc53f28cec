package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/convkit/rediskit/ratelimit"
)

// A denial is a Result and no error. It is not charged.
func ExampleLimiter_Allow() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.PerMinute(1))
	if err != nil {
		panic(err)
	}
	for range 2 {
		res, err := limiter.Allow(ctx, "user_1")
		fmt.Println(res.Allowed, res.RetryAfter, err)
	}
	server.FastForward(time.Minute)
	res, err := limiter.Allow(ctx, "user_1")
	fmt.Println(res.Allowed, res.RetryAfter, err)
	// Output:
	// true 0s <nil>
	// false 1m0s <nil>
	// true 0s <nil>
}

// A request that costs more than one is charged whole or not at all.
func ExampleLimiter_AllowN() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	tokens, err := ratelimit.New(rdb, ratelimit.Config{Key: "tokens:*"}, ratelimit.PerHour(1000))
	if err != nil {
		panic(err)
	}
	for range 2 {
		res, err := tokens.AllowN(ctx, "user_1", 600)
		fmt.Println(res.Allowed, res.Remaining, err)
	}
	_, err = tokens.AllowN(ctx, "user_1", 1001)
	fmt.Println(errors.Is(err, ratelimit.ErrExceedsLimit)) // it would never be allowed
	// Output:
	// true 400 <nil>
	// false 400 <nil>
	// true
}

// Peek shows how much remains and charges nothing.
func ExampleLimiter_Peek() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.PerMinute(3))
	if err != nil {
		panic(err)
	}
	_, _ = limiter.Allow(ctx, "user_1")

	for range 2 {
		res, err := limiter.Peek(ctx, "user_1")
		fmt.Println(res.Remaining, "of", res.Limit, "remain; all of them in", res.ResetAfter, err)
	}
	// Output:
	// 2 of 3 remain; all of them in 1m0s <nil>
	// 2 of 3 remain; all of them in 1m0s <nil>
}

// A correct password forgives the wrong ones before it.
func ExampleLimiter_Reset() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	logins, err := ratelimit.New(rdb,
		ratelimit.Config{Key: "login:*", WhenDown: ratelimit.FailClosed},
		ratelimit.SlidingWindow(3, 15*time.Minute))
	if err != nil {
		panic(err)
	}
	for _, password := range []string{"hunter1", "hunter2", "hunter3"} {
		res, err := logins.Allow(ctx, "user_1")
		fmt.Println(res.Allowed, res.Remaining, err)
		if password == "hunter2" {
			fmt.Println(logins.Reset(ctx, "user_1"))
		}
	}
	// Output:
	// true 2 <nil>
	// true 1 <nil>
	// <nil>
	// true 2 <nil>
}

// With DenyCache, a client that goes on asking after a denial costs Redis nothing
// until its RetryAfter has passed.
func ExampleConfig_denyCache() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb,
		ratelimit.Config{Key: "rate_limit:*", DenyCache: 10_000},
		ratelimit.PerMinute(1))
	if err != nil {
		panic(err)
	}
	for range 4 {
		res, err := limiter.Allow(ctx, "user_1")
		fmt.Println(res.Allowed, err)
	}
	fmt.Println(limiter.Stats().Denied, "denied by Redis")
	fmt.Println(limiter.Stats().DenyCacheHits, "denied by this process")
	// Output:
	// true <nil>
	// false <nil>
	// false <nil>
	// false <nil>
	// 1 denied by Redis
	// 2 denied by this process
}
