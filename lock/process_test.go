package lock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

// sleeper holds a lock until it is lost, then tries to write with its fence.
var sleeper = redistest.Child("lock sleeper", func(args []string) {
	rdb := redis.NewClient(&redis.Options{Addr: args[0], MaxRetries: -1, ContextTimeoutEnabled: true})
	defer rdb.Close()
	k, err := lock.New(rdb, lock.Config{Key: args[1] + ":*", TTL: 500 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	err = k.Do(context.Background(), "1", func(ctx context.Context, held *lock.Lock) error {
		fence, err := held.Fence(ctx)
		if err != nil {
			return err
		}
		fmt.Println("held")
		<-ctx.Done()
		fmt.Println(errors.Is(context.Cause(ctx), lock.ErrLost))
		reply, err := register.Run(context.Background(), rdb, []string{args[1] + ":register"}, fence, "late").Slice()
		fmt.Println(reply[0], err)
		return nil
	})
	fmt.Println(errors.Is(err, lock.ErrLost))
})

// The holder is paused for longer than the TTL of its lock, and another one takes
// the lock and writes. What the first does when it goes on is too late.
func TestAHolderThatWasPausedLearnsOfItsLossAndCannotWrite(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		child := redistest.Spawn(t, sleeper, s.Addr(), s.Prefix())
		if got := child.Line(); got != "held" {
			t.Fatal(got)
		}
		child.Pause()
		k := newLocker(t, s)
		rival, err := k.Acquire(t.Context(), "1")
		if err != nil {
			t.Fatal(err)
		}
		fence, err := rival.Fence(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := register.Run(t.Context(), rdb, []string{s.Prefix() + ":register"}, fence, "new").Err(); err != nil {
			t.Fatal(err)
		}
		child.Resume()
		for _, want := range []string{
			"true",    // its context ended with ErrLost
			"0 <nil>", // its write was refused
			"true",    // Do returned ErrLost, though its function returned nil
		} {
			if got := child.Line(); got != want {
				t.Errorf("the paused holder says %q, want %q", got, want)
			}
		}
		if got := rdb.HGet(t.Context(), s.Prefix()+":register", "value").Val(); got != "new" {
			t.Errorf("the register has %q", got)
		}
		if err := rival.Release(t.Context()); err != nil {
			t.Errorf("the rival's lock: %v", err)
		}
		if err := child.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// A process that is killed while it holds a lock is replaced when the TTL
// ends, although nothing announces that.
func TestAKilledHolderIsReplacedWhenItsLockEnds(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		child := redistest.Spawn(t, sleeper, s.Addr(), s.Prefix())
		if got := child.Line(); got != "held" {
			t.Fatal(got)
		}
		k := newLocker(t, s)
		waiting := acquire(t.Context(), k, "1")
		redistest.Eventually(t, func() bool { return k.Stats().Waiting == 1 }, "a waiter")
		child.Kill()
		got := <-waiting
		if got.Err != nil {
			t.Fatal(got.Err)
		}
		if err := got.Value.Release(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
