package lock_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/lock"
)

// Do waits for the lock and gives it back.
func ExampleLocker_Do() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer locks.Close()

	err = locks.Do(ctx, "conversation:c1", func(ctx context.Context, _ *lock.Lock) error {
		fmt.Println("held:", rdb.Exists(ctx, "lock:conversation:c1").Val() == 1)
		return ctx.Err() // end when ctx does: the lock may be lost
	})
	fmt.Println("held:", rdb.Exists(ctx, "lock:conversation:c1").Val() == 1, err)
	// Output:
	// held: true
	// held: false <nil>
}

// A conversation that another service is processing is left to it.
func ExampleLocker_TryDo() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer locks.Close()

	// As a service in TypeScript does: redis.set(key, 'locked', 'EX', 10, 'NX')
	rdb.Do(ctx, "SET", "lock:conversation:c1", "locked", "EX", 10, "NX")

	err = locks.TryDo(ctx, "conversation:c1", func(context.Context, *lock.Lock) error { return nil })
	switch {
	case errors.Is(err, lock.ErrHeld):
		fmt.Println("already being processed")
	case errors.Is(err, lock.ErrLost):
		fmt.Println("another may have processed it at the same time:", err)
	case err != nil:
		fmt.Println(err)
	}
	// Output:
	// already being processed
}

// A lock that is not held for the length of a function: its holder looks after
// its context and its Release.
func ExampleLocker_Acquire() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel() // bounds the wait, and not the lock
	rdb, stop := server()
	defer stop()
	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer locks.Close()

	held, err := locks.Acquire(ctx, "export")
	if err != nil {
		fmt.Println(err)
		return
	}
	select {
	case <-held.Context().Done():
		fmt.Println("stop:", context.Cause(held.Context()))
	default:
		fmt.Println("work")
	}
	fmt.Println(held.Release(ctx))
	// Output:
	// work
	// <nil>
}

// A table is a store that remembers the greatest fence it has seen, as SQL
// does: UPDATE conversation SET state = $1, fence = $2 WHERE id = $3 AND fence < $2.
type table map[string]struct {
	state string
	fence int64
}

func (t table) update(id, state string, fence int64) (rows int) {
	if row := t[id]; row.fence >= fence {
		return 0
	}
	t[id] = struct {
		state string
		fence int64
	}{state, fence}
	return 1
}

// A holder that stood still for too long, and does not know it yet, cannot
// overwrite what the next one has written.
func ExampleLock_Fence() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer locks.Close()
	conversation := table{}

	slow, _ := locks.Try(ctx, "conversation:c1")
	fence, _ := slow.Fence(ctx)
	rdb.Del(ctx, "lock:conversation:c1") // it expired, or Redis restarted

	next, _ := locks.Try(ctx, "conversation:c1")
	newer, _ := next.Fence(ctx)
	fmt.Println("rows:", conversation.update("c1", "answered by the next", newer))
	fmt.Println("rows:", conversation.update("c1", "answered by the slow one", fence))
	fmt.Println(conversation["c1"].state, next.Release(ctx))
	fmt.Println(errors.Is(slow.Release(ctx), lock.ErrLost))
	// Output:
	// rows: 1
	// rows: 0
	// answered by the next <nil>
	// true
}

// server starts an embedded Redis. A service calls rediskit.Connect instead.
func server() (*redis.Client, func()) {
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		panic(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	return rdb, func() {
		rdb.Close()
		mini.Close()
	}
}
