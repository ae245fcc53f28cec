package cache

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
)

// scanCount is how many keys one SCAN step looks at: at this size a step
// takes Redis well under a millisecond.
const scanCount = 1000

// Clear removes every value of the cache's Key pattern, with what belongs to
// it, and returns how many values that were. progress, if not nil, is told
// the number so far, now and then. Values that are stored while it runs may
// stay.
//
// It is for operators: it walks the whole keyspace of every master with SCAN
// and UNLINK, twice, and takes as long as that takes. ctx may end it; then
// some values remain, and Clear may be called again.
func (c *Cache[V]) Clear(ctx context.Context, progress func(removed int64)) (int64, error) {
	if err := c.ready("clear"); err != nil {
		return 0, err
	}
	defer c.misses.forgetAll() // as Delete does
	if c.near != nil {
		defer c.near.InvalidateAll()
	}
	// Leases go first: a load that began before Clear must not store its
	// value behind the walk.
	for _, kind := range []string{kindLease, kindStale} {
		_, err := c.sweep(ctx, keys.SiblingGlob(kind), func(found string) bool {
			key, ok := keys.KeyOf(kind, found)
			return ok && c.owns(key)
		}, nil)
		if err != nil {
			return 0, c.report.Redis(ctx, "clear", err)
		}
	}
	removed, err := c.sweep(ctx, c.pattern.Glob(), c.owns, progress)
	if err != nil {
		return removed, c.report.Redis(ctx, "clear", err)
	}
	return removed, nil
}

func (e *engine) owns(key string) bool {
	_, ok := e.pattern.ID(key)
	return ok
}

// sweep unlinks the keys that match glob and are ours, on every master.
func (e *engine) sweep(ctx context.Context, glob string, ours func(key string) bool, progress func(int64)) (int64, error) {
	var mu sync.Mutex // masters are swept side by side
	var removed int64
	err := e.eachMaster(ctx, func(ctx context.Context, master redis.Cmdable) error {
		for cursor := uint64(0); ; {
			found, next, err := master.Scan(ctx, cursor, glob, scanCount).Result()
			if err != nil {
				return err
			}
			// Through the whole client, not the master's own: a slot may
			// have moved since.
			pipe := e.rdb.Pipeline()
			for _, key := range found {
				if ours(key) {
					pipe.Unlink(ctx, key)
				}
			}
			unlinked, err := pipe.Exec(ctx)
			if err != nil {
				return err
			}
			mu.Lock()
			for _, cmd := range unlinked {
				removed += cmd.(*redis.IntCmd).Val()
			}
			if progress != nil && len(unlinked) > 0 {
				progress(removed)
			}
			mu.Unlock()
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	})
	return removed, err
}

func (e *engine) eachMaster(ctx context.Context, f func(context.Context, redis.Cmdable) error) error {
	if cluster, ok := e.rdb.(*redis.ClusterClient); ok {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error { return f(ctx, master) })
	}
	return f(ctx, e.rdb)
}
