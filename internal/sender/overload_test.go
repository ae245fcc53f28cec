package sender_test

import (
	"context"
	"errors"
	"testing"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

// A caller that leaves the queue leaves its request behind until a pipeline takes it.
func TestQueuedCallsAreBoundedAlsoWhenTheirCallersLeave(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	const room = 10
	breaker.Guard(rdb, breaker.Config{MaxWaiting: sender.MaxDirect + 2*sender.MaxPipelines + room})
	calls := breaker.BulkheadOf(rdb)
	g, c := newGate(rdb), sender.New(rdb, false)
	others := g.fill(t, c, sender.Read, "busy")

	left, leave := context.WithCancel(t.Context())
	for range room {
		others.Go(func() {
			if _, err := get(left, c, "queued"); !errors.Is(err, context.Canceled) {
				t.Errorf("a caller that left: %v", err)
			}
		})
	}
	redistest.Eventually(t, func() bool { return c.Queued() == room }, "the queue has its callers")
	leave()
	redistest.Eventually(t, func() bool { return c.Busy() == sender.MaxDirect+sender.MaxPipelines }, "they have left")
	if _, err := get(t.Context(), c, "k"); err != breaker.ErrOverloaded || calls.Refused() != 1 {
		t.Errorf("a call beyond the bound: %v, %d refused", err, calls.Refused())
	}
	close(g.open)
	others.Wait()
	redistest.Eventually(t, func() bool { return calls.UnderWay() == 0 }, "no call is under way")
	if _, err := get(t.Context(), c, "k"); errors.Is(err, breaker.ErrOverloaded) {
		t.Errorf("after all have ended: %v", err)
	}
}
