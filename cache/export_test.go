package cache

import (
	"context"

	"github.com/convkit/rediskit/internal/tracking"
)

// GetClaimingLate is Get with a mistake: it takes the claim that keeps the value in this
// process after it has read the value, and not before.
func (c *Cache[V]) GetClaimingLate(ctx context.Context, id string) (V, error) {
	if v, ok := c.near.get(id); ok {
		return v, nil
	}
	began, key := tracking.Now(), c.far.pattern.Key(id)
	e := getManyOver(ctx, c.far.rdb, []string{key}, true)[0]
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
