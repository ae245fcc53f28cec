package cache

import (
	"context"
	"time"
)

// A renewal is a value that is about to expire.
type renewal struct {
	id, key, data string
}

// due says whether a value with that much left to live is to be renewed. One
// without a TTL, which a foreign writer left, never expires.
func (e *engine) due(left time.Duration) bool {
	return e.cfg.RefreshAhead > 0 && left > 0 && left < e.cfg.RefreshAhead
}

// renewAhead loads values in the background, unless this process is already
// about it or another one has the lease. Their fill requires that the value
// is still the one that was read.
func (e *engine) renewAhead(ctx context.Context, values []renewal, load loader) {
	var led []*flight
	for _, v := range values {
		if fl, _, leads := e.renewals.join(v.id, v.key); leads {
			led = append(led, fl)
			fl.replaces = digest(v.data)
		}
	}
	if len(led) == 0 {
		return
	}
	started := e.spawn(ctx, func(ctx context.Context) { e.renew(ctx, led, load) })
	if !started {
		for _, fl := range led {
			fl.seal()
		}
	}
}

// renew asks for the leases once and loads what it got. Nobody waits for it.
func (e *engine) renew(ctx context.Context, fls []*flight, load loader) {
	ready, _ := e.acquire(ctx, fls)
	var owned, unsure []*flight
	for _, fl := range ready {
		if fl.lease == leaseOwned {
			owned = append(owned, fl)
		} else {
			unsure = append(unsure, fl)
		}
	}
	e.stats.refreshes.Add(uint64(len(owned)))
	e.load(ctx, owned, load)
	e.release(ctx, unsure)
	for _, fl := range owned {
		if a := fl.answer; a.err != nil && !a.absent && ctx.Err() == nil {
			e.report.Tell(ctx, a.err)
		}
	}
	for _, fl := range fls {
		fl.seal()
	}
}
