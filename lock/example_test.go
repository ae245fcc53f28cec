package lock_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/lock"
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

// Do waits for the lock, holds it while fn runs, and gives it back.
func Example() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
	if err != nil {
		panic(err)
	}
	defer locks.Close() // before its client

	err = locks.Do(ctx, "conversation:c1", func(ctx context.Context, _ *lock.Lock) error {
		fmt.Println("locked:", rdb.Exists(ctx, "lock:conversation:c1").Val() == 1)
		return ctx.Err() // fn stops when ctx ends: the lock may be lost
	})
	fmt.Println("locked:", rdb.Exists(ctx, "lock:conversation:c1").Val() == 1, err)
	// Output:
	// locked: true
	// locked: false <nil>
}
