package lock_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/convkit/rediskit/lock"
)

// A lock whose key is gone, because somebody deleted it or Redis restarted without
// it, is lost. Its holder's context ends at the next renewal, and Do returns ErrLost
// even where fn succeeded: another process may have worked at the same time.
func ExampleLocker_Do_lost() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: time.Second})
	if err != nil {
		panic(err)
	}
	defer locks.Close()

	err = locks.Do(ctx, "export", func(ctx context.Context, _ *lock.Lock) error {
		rdb.Del(ctx, "lock:export")
		<-ctx.Done()
		fmt.Println("stop:", errors.Is(context.Cause(ctx), lock.ErrLost))
		return nil
	})
	fmt.Println(errors.Is(err, lock.ErrLost))
	// Output:
	// stop: true
	// true
}
