package lock_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/convkit/rediskit/lock"
)

// With Replicas, a lock counts only once that many replicas have it. This server
// has none, so Try fails and gives the lock back.
func ExampleReplicas() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", Replicas: lock.Replicas{N: 1}})
	if err != nil {
		panic(err)
	}
	defer locks.Close()

	_, err = locks.Try(ctx, "export")
	fmt.Println(errors.Is(err, lock.ErrReplicas))
	// Output: true
}
