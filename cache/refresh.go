package cache

import (
	"context"
	"time"
)

// A renewal is a value that is about to expire.
type renewal struct {
	id, key, data string
}

// due reports whether a value with that TTL is to be renewed. One without a TTL, which
// another program wrote, never expires.
func (l *loads) due(ttl time.Duration) bool {
	return l.cfg.RefreshAhead > 0 && ttl > 0 && ttl < l.cfg.RefreshAhead
}

// renewAhead loads values in the background, unless this process renews them already
// or another process has the lease. A value is stored only if the one that was read
// is still there.
func (l *loads) renewAhead(ctx context.Context, values []renewal, load loader) {
	var led []*call
	for _, v := range values {
		if c, _, leader := l.renewals.join(v.id, v.key); leader {
			led = append(led, c)
			c.replaces = digest(v.data)
		}
	}
	if len(led) == 0 {
		return
	}
	started := l.life.Go(ctx, func(ctx context.Context) {
		defer func() {
			for _, c := range led {
				c.seal()
			}
		}()
		l.renew(ctx, led, load)
	})
	if !started {
		for _, c := range led {
			c.seal()
		}
	}
}

// renew asks for the leases once and loads the values whose lease it got. No caller
// waits for that.
func (l *loads) renew(ctx context.Context, calls []*call, load loader) {
	ready, _ := l.acquire(ctx, calls)
	var owned, unsure []*call
	for _, c := range ready {
		if c.lease == leaseOwned {
			owned = append(owned, c)
		} else {
			unsure = append(unsure, c)
		}
	}
	l.stats.refreshes.Add(uint64(len(owned)))
	l.load(ctx, owned, load)
	l.far.release(ctx, unsure)
	for _, c := range owned {
		if a := c.answer; a.err != nil && !a.absent && ctx.Err() == nil {
			l.report.OnError(ctx, a.err)
		}
	}
}
