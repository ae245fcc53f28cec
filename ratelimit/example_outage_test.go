package ratelimit_test

import (
	"context"
	"fmt"

	"github.com/convkit/rediskit/ratelimit"
)

// FailOpen allows every request while Redis does not answer. OnError receives the
// reason each time.
func ExampleWhenDown_failOpen() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{
		Key:      "rate_limit:*",
		WhenDown: ratelimit.FailOpen, // the default
		OnError:  func(context.Context, error) { fmt.Println("Redis did not decide") },
	}, ratelimit.PerMinute(1))
	if err != nil {
		panic(err)
	}

	server.Close()
	for range 2 {
		res, err := limiter.Allow(ctx, "user_1")
		fmt.Println(res.Allowed, res.Degraded, err)
	}
	// Output:
	// Redis did not decide
	// true true <nil>
	// Redis did not decide
	// true true <nil>
}

// FailClosed denies every request while Redis does not answer. It is for limits that
// protect a secret, as at a login.
func ExampleWhenDown_failClosed() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer rdb.Close()

	logins, err := ratelimit.New(rdb, ratelimit.Config{
		Key:      "login:*",
		WhenDown: ratelimit.FailClosed,
	}, ratelimit.PerMinute(5))
	if err != nil {
		panic(err)
	}

	server.Close()
	res, err := logins.Allow(ctx, "user_1")
	fmt.Println(res.Allowed, res.Degraded, res.RetryAfter, err)
	// Output:
	// false true 1s <nil>
}

// Local goes on with counts of this process alone while Redis does not answer.
func ExampleWhenDown_local() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{
		Key:      "rate_limit:*",
		WhenDown: ratelimit.Local,
	}, ratelimit.PerMinute(2))
	if err != nil {
		panic(err)
	}

	server.Close()
	for range 3 {
		res, err := limiter.Allow(ctx, "user_1")
		fmt.Println(res.Allowed, res.Remaining, res.Degraded, err)
	}
	// Output:
	// true 1 true <nil>
	// true 0 true <nil>
	// false 0 true <nil>
}
