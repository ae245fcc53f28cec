package cache

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit/internal/tracking"
)

// GetClaimingLate is Get with a mistake: it takes the claim that keeps the value in this
// process after it has read the value, and not before.
func (c *Cache[V]) GetClaimingLate(ctx context.Context, id string) (V, error) {
	if v, ok := c.near.get(id); ok {
		return v, nil
	}
	began, key := tracking.Now(), c.far.pattern.Key(id)
	e := c.far.getManyOver(ctx, c.far.rdb, []string{key}, true)[0]
	if e.err != nil {
		return *new(V), e.err
	}
	v, err := c.codec.decode(e.data)
	if !e.found || err != nil {
		return v, ErrMiss
	}
	claim, _ := c.near.claim(ctx, id, key, began)
	c.near.put(claim, e, v, began)
	return v, nil
}

// Announcements has c take an announcement only when handle passes it on, and before the reply
// to any PING that was sent later. Call it before c is used.
func (c *Cache[V]) Announcements(handle func(pass func())) error {
	c.near.tracker.Close()
	var err error
	c.near.tracker, err = tracking.New(c.far.rdb, tracking.Config{
		Prefix:       c.far.pattern.Prefix(),
		OnInvalidate: func(key string) { handle(func() { c.near.announced(key) }) },
		OnError:      func(error) {},
	})
	return err
}

// LoseAnnouncements makes c lose one announcement of n. Call it before c is used.
func (c *Cache[V]) LoseAnnouncements(n int64) error {
	var announced atomic.Int64
	return c.Announcements(func(pass func()) {
		if announced.Add(1)%n != 0 {
			pass()
		}
	})
}

// MaxChecks is how many hits wait for their check.
const MaxChecks = maxChecks

// VerifyUpTo has c check up to limit hits in each pause of that length. Call it before c is
// used.
func (c *Cache[V]) VerifyUpTo(limit int, every time.Duration) {
	c.near.checks.limit, c.near.checks.every = limit, every
}
