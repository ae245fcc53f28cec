package ratelimit_test

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/ratelimit"
	"github.com/convkit/rediskit/secrets"
)

// startRedis starts a Redis inside this process and connects to it. A service
// only calls rediskit.Connect.
func startRedis() (*miniredis.Miniredis, redis.UniversalClient) {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	rdb, err := rediskit.Connect(context.Background(), rediskit.Config{
		Addrs:    []string{server.Addr()},
		Password: secrets.None(),
	})
	if err != nil {
		panic(err)
	}
	return server, rdb
}

func Example() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.PerMinute(3))
	if err != nil {
		panic(err)
	}
	for range 4 {
		res, err := limiter.Allow(ctx, "user_1")
		switch {
		case err != nil:
			fmt.Println(err)
		case res.Allowed:
			fmt.Println("allowed;", res.Remaining, "of", res.Limit, "remain")
		default:
			fmt.Println("denied; try again in", res.RetryAfter)
		}
	}
	// Output:
	// allowed; 2 of 3 remain
	// allowed; 1 of 3 remain
	// allowed; 0 of 3 remain
	// denied; try again in 1m0s
}
