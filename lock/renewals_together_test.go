package lock_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

// roundTrips counts the round trips of a client.
type roundTrips struct{ n atomic.Int64 }

func (r *roundTrips) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (r *roundTrips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { r.n.Add(1); return next(ctx, cmd) }
}

func (r *roundTrips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { r.n.Add(1); return next(ctx, cmds) }
}

// A process that holds a thousand locks, taken at different times, renews them in a few
// round trips.
func TestTheRenewalsOfManyLocksShareRoundTrips(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		const locks, ttl = 1000, 9 * time.Second
		rdb, trips := s.Client(), &roundTrips{}
		k := newLockerOn(t, s, rdb, func(c *lock.Config) { c.TTL = ttl })
		var held []*lock.Lock
		for i := range locks {
			held = append(held, mustTry(t, k, fmt.Sprint(i)))
			time.Sleep(3 * time.Millisecond)
		}
		rdb.AddHook(trips)
		before := k.Stats().Renewals
		for range 3 {
			trips.n.Store(0)
			time.Sleep(ttl / 3)
			if got := trips.n.Load(); got > locks/4 { // some forty, more where goroutines run one after the other
				t.Errorf("%d round trips in a third of the TTL", got)
			}
		}
		if renewed := k.Stats().Renewals - before; renewed < 3*locks*9/10 {
			t.Errorf("%d renewals of %d locks in a TTL", renewed, locks)
		}
		for _, l := range held {
			if err := l.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
