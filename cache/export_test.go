package cache

import (
	"context"

	"github.com/convkit/rediskit/internal/near"
	"github.com/convkit/rediskit/internal/tracking"
)

// GetClaimingLate is Get with a mistake: what a value needs to be kept is taken
// when it has been read, and not before.
func (c *Cache[V]) GetClaimingLate(ctx context.Context, id string) (V, error) {
	if v, ok := c.nearby(id); ok {
		return v, nil
	}
	var v V
	sent := tracking.Now()
	e := readPiped(ctx, c.rdb, []string{c.pattern.Key(id)}, true)[0]
	switch {
	case e.err != nil:
		return v, e.err
	case !e.found || !c.hit(ctx, "get", e.data, &v):
		return v, ErrMiss
	}
	_, epoch := c.local.tracker.Master(ctx, c.pattern.Key(id))
	c.keep(claims{[]near.Claim{c.local.table.Claim(id, epoch)}, sent}, 0, e, v)
	return v, nil
}
