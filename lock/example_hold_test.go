package lock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/convkit/rediskit/lock"
)

// Do waits until the lock is free. Goroutines and processes that lock the same id run
// one after the other.
func ExampleLocker_Do() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
	if err != nil {
		panic(err)
	}
	defer locks.Close()

	increment := func(ctx context.Context, _ *lock.Lock) error {
		n, _ := rdb.Get(ctx, "counter").Int()
		return rdb.Set(ctx, "counter", n+1, time.Hour).Err()
	}
	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() {
			if err := locks.Do(ctx, "counter", increment); err != nil {
				fmt.Println(err)
			}
		})
	}
	workers.Wait()
	fmt.Println(rdb.Get(ctx, "counter").Result())
	// Output:
	// 3 <nil>
}

// TryDo does not wait: what another process is working on is left to it. That
// process may be written in another language.
func ExampleLocker_TryDo() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
	if err != nil {
		panic(err)
	}
	defer locks.Close()

	// redis.set('lock:conversation:c1', 'locked', 'EX', 10, 'NX')
	rdb.Do(ctx, "SET", "lock:conversation:c1", "locked", "EX", 10, "NX")

	err = locks.TryDo(ctx, "conversation:c1", func(context.Context, *lock.Lock) error {
		fmt.Println("work")
		return nil
	})
	switch {
	case errors.Is(err, lock.ErrHeld):
		fmt.Println("another process works on it")
	case errors.Is(err, lock.ErrLost):
		fmt.Println("another process may have worked on it at the same time:", err)
	case err != nil:
		fmt.Println(err)
	}
	// Output:
	// another process works on it
}

// Try takes a lock that is held for longer than one function runs. Its holder stops
// when the lock's context ends, and releases the lock.
func ExampleLocker_Try() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
	if err != nil {
		panic(err)
	}
	defer locks.Close()

	export, err := locks.Try(ctx, "export")
	if err != nil {
		panic(err)
	}
	_, err = locks.Try(ctx, "export")
	fmt.Println(errors.Is(err, lock.ErrHeld))

	select {
	case <-export.Context().Done():
		fmt.Println("stop:", context.Cause(export.Context()))
	default:
		fmt.Println("work")
	}
	fmt.Println(export.Release(ctx))
	// Output:
	// true
	// work
	// <nil>
}

// Acquire waits as long as its context allows. The lock itself outlives that
// context.
func ExampleLocker_Acquire() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
	if err != nil {
		panic(err)
	}
	defer locks.Close()

	export, err := locks.Acquire(ctx, "export")
	if err != nil {
		panic(err)
	}
	defer export.Release(ctx)

	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = locks.Acquire(short, "export")
	fmt.Println(errors.Is(err, context.DeadlineExceeded), errors.Is(err, lock.ErrHeld))
	// Output:
	// true true
}
