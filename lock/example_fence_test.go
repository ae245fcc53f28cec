package lock_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/convkit/rediskit/lock"
)

// A table remembers with each row the greatest fence that wrote it. Its update is
//
//	UPDATE conversation SET state = $1, fence = $2 WHERE id = $3 AND fence < $2
type table map[string]row

type row struct {
	state string
	fence int64
}

func (t table) update(id, state string, fence int64) (rows int) {
	if t[id].fence >= fence {
		return 0
	}
	t[id] = row{state, fence}
	return 1
}

// A holder that stood still for too long, and does not know that it has lost its
// lock, cannot overwrite what the next holder has written.
func ExampleLock_Fence() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
	if err != nil {
		panic(err)
	}
	defer locks.Close()
	conversations := table{}

	slow, err := locks.Try(ctx, "c1")
	if err != nil {
		panic(err)
	}
	slowFence, _ := slow.Fence(ctx)
	server.FastForward(10 * time.Second) // its key has expired

	next, err := locks.Try(ctx, "c1")
	if err != nil {
		panic(err)
	}
	nextFence, _ := next.Fence(ctx)

	fmt.Println(conversations.update("c1", "answered", nextFence), "row updated by the next holder")
	fmt.Println(conversations.update("c1", "asked", slowFence), "rows updated by the slow one")
	fmt.Println(next.Release(ctx), errors.Is(slow.Release(ctx), lock.ErrLost))
	// Output:
	// 1 row updated by the next holder
	// 0 rows updated by the slow one
	// <nil> true
}
