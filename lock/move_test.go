package lock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/secrets"
)

// An address leads to another server, which has no lock. The next renewal is due in a third
// of an hour, and the next look of a waiter in an hour.
func TestLocksAreRenewedAndWaitersLookWhenAnotherServerCounts(t *testing.T) {
	t.Parallel()
	old, next := redistest.Start(t), redistest.Start(t)
	proxy := redistest.StartProxy(t, old.Addr())
	slowly := func(c *lock.Config) { c.TTL, c.MaxHold, c.Poll = time.Hour, time.Hour, time.Hour }
	rdb, err := rediskit.Connect(t.Context(), rediskit.Config{Addrs: []string{proxy.Addr()}, Password: secrets.None()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rdb.Close() })
	held := mustTry(t, newOn(t, rdb, slowly), "1")
	waiting := newOn(t, rdb, slowly)
	acquired := redistest.Async(func() (*lock.Lock, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return waiting.Acquire(ctx, "1")
	})
	redistest.Eventually(t, func() bool { return waiting.Stats().Waiting == 1 }, "a caller waits")

	proxy.MoveTo(next.Addr())
	proxy.Cut()
	if r := <-acquired; r.Err != nil {
		t.Errorf("the waiter got %v", r.Err)
	}
	redistest.Eventually(t, func() bool {
		return errors.Is(context.Cause(held.Context()), lock.ErrLost)
	}, "the holder learns of its loss")
}
