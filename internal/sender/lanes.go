package sender

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
)

// lanes let the calls of one class share round trips: one lane to each primary, so
// that on a Cluster a slow primary delays only the commands that are for it.
type lanes struct {
	rdb     redis.UniversalClient
	class   Class
	sizes   *sizes
	calls   func() *breaker.Bulkhead // asked when a call is queued for the first time
	only    *lane                    // nil on a Cluster
	primary sync.Map                 // on a Cluster: from the address of a primary to its *lane
}

func newLanes(rdb redis.UniversalClient, class Class) *lanes {
	l := &lanes{rdb: rdb, class: class}
	if class == Read { // no other one has replies of any size
		l.sizes = newSizes()
	}
	l.calls = sync.OnceValue(func() *breaker.Bulkhead { return breaker.BulkheadOf(rdb) })
	if _, cluster := rdb.(*redis.ClusterClient); !cluster {
		l.only = l.newLane()
	}
	return l
}

func (l *lanes) newLane() *lane {
	return &lane{rdb: l.rdb, class: l.class, sizes: l.sizes, calls: l.calls}
}

// do sends the commands of one call, as Sender.Do does.
func (l *lanes) do(ctx context.Context, key string, cmds []redis.Cmder) error {
	to := l.to(ctx, key)
	if to == nil {
		Send(ctx, l.rdb, l.class, cmds...)
		return nil
	}
	if argumentBytes(cmds) >= largeArguments || !l.sizes.small(key, cmds) {
		Send(ctx, l.rdb, l.class, cmds...)
	} else if err := to.do(ctx, cmds); err != nil {
		return err
	}
	l.sizes.note(key, cmds)
	return nil
}

// to returns the lane to the primary of key, or nil if none is known.
func (l *lanes) to(ctx context.Context, key string) *lane {
	if l.only != nil {
		return l.only
	}
	primary, err := l.rdb.(*redis.ClusterClient).MasterForKey(ctx, key)
	if err != nil {
		return nil // the command itself will say why
	}
	addr := primary.Options().Addr
	known, ok := l.primary.Load(addr)
	if !ok {
		known, _ = l.primary.LoadOrStore(addr, l.newLane())
	}
	return known.(*lane)
}
