package cache

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/near"
	"github.com/convkit/rediskit/internal/tracking"
)

// A lookup is one id on its way through read.
type lookup[V any] struct {
	id    string
	value V
	found bool // value is that of id

	// Of a value that this process did not hold.
	key   string
	far   entry      // what Redis answered
	claim near.Claim // for keeping the value in this process
}

// read looks up every id in this process and, where it holds no value, in Redis: in one
// round trip unless they are too many, on a Cluster one to each primary. All calls that return values use it.
// ahead says that the caller renews values before they expire, and needs their TTL.
//
// A value that does not decode is not found; Config.OnError receives why.
func (c *Cache[V]) read(ctx context.Context, op string, lookups []lookup[V], ahead bool) {
	missing := 0
	for i := range lookups {
		l := &lookups[i]
		if l.value, l.found = c.near.get(l.id); !l.found {
			missing++
		}
	}
	if missing == 0 {
		return
	}
	ttl := ahead && c.cfg.RefreshAhead > 0
	var began time.Duration
	if c.near != nil {
		ttl, began = true, tracking.Now()
	}
	if len(lookups) == 1 && (c.near == nil || !c.far.onCluster()) {
		l := &lookups[0]
		l.key = c.far.pattern.Key(l.id)
		l.claim, _ = c.near.claim(ctx, l.id, l.key, began)
		l.far = c.far.get(ctx, l.key, ttl)
	} else {
		c.readMany(ctx, lookups, ttl, began)
	}
	for i := range lookups {
		l := &lookups[i]
		if l.found || !l.far.found {
			continue
		}
		v, err := c.codec.decode(l.far.data)
		if err != nil {
			c.stats.undecodable.Add(1)
			c.report.OnError(ctx, c.report.Fail(op, err))
			continue
		}
		c.stats.hits.Add(1)
		l.value, l.found = v, true
		c.near.put(l.claim, l.far, v, began)
	}
}

// readMany reads from Redis what is not found yet. On a Cluster, a value can be kept in
// this process only if it was read from the primary that announces its changes. So it
// is read there and, if its slot has moved or the primary is gone, through the client:
// not after a time-out, which would then be twice as long.
func (c *Cache[V]) readMany(ctx context.Context, lookups []lookup[V], ttl bool, began time.Duration) {
	at := map[*redis.Client][]int{}
	var rest []int // through the client
	for i := range lookups {
		l := &lookups[i]
		if l.found {
			continue
		}
		l.key = c.far.pattern.Key(l.id)
		var primary *redis.Client
		l.claim, primary = c.near.claim(ctx, l.id, l.key, began)
		if primary != nil && c.far.onCluster() {
			at[primary] = append(at[primary], i)
		} else {
			rest = append(rest, i)
		}
	}
	keysOf := func(which []int) []string {
		keys := make([]string, len(which))
		for n, i := range which {
			keys[n] = lookups[i].key
		}
		return keys
	}
	for _, p := range c.readAt(ctx, at, keysOf, ttl) {
		for n, i := range p.which {
			l := &lookups[i]
			l.far = p.entries[n]
			if mayBeElsewhere(ctx, l.far.err) {
				l.claim = near.Claim{}
				rest = append(rest, i)
			}
		}
	}
	if len(rest) == 0 {
		return
	}
	for n, e := range c.far.getMany(ctx, keysOf(rest), ttl) {
		lookups[rest[n]].far = e
	}
}

// A part is what one primary answered: an entry for each of the lookups at which.
type part struct {
	which   []int
	entries []entry
}

// readAt reads lookups at their primaries, side by side.
func (c *Cache[V]) readAt(ctx context.Context, at map[*redis.Client][]int, keysOf func([]int) []string, ttl bool) []part {
	parts := make([]part, 0, len(at))
	var reading sync.WaitGroup
	for primary, which := range at {
		parts = append(parts, part{which: which})
		p, keys := &parts[len(parts)-1], keysOf(which)
		read := func() { p.entries = c.far.getManyOver(ctx, primary, keys, ttl) }
		if len(at) == 1 {
			read()
		} else {
			reading.Go(read)
		}
	}
	reading.Wait()
	return parts
}

// mayBeElsewhere reports whether err, of a read at one primary, may be absent where the
// key is now.
func mayBeElsewhere(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == nil && !breaker.TimedOut(err) && !errors.Is(err, redis.ErrPoolTimeout)
}
