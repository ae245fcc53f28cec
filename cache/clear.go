package cache

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/sender"
)

// Clear removes every value of the cache's Key pattern, with what belongs to it, and
// returns how many values that were. progress, if not nil, is called now and then with
// the number so far. Values that are stored while Clear runs may stay.
//
// It is for operators: it walks the whole keyspace of every primary with SCAN and UNLINK,
// three times, and takes as long as that takes. ctx may end it; then some values remain,
// and Clear may be called again.
func (c *Cache[V]) Clear(ctx context.Context, progress func(removed int64)) (int64, error) {
	if err := c.ready("clear"); err != nil {
		return 0, err
	}
	defer c.near.invalidateAll()
	defer c.loads.misses.forgetAll()
	// Leases go first: a load that began before Clear must not store its value behind
	// the walk.
	for _, kind := range []string{kindLease, kindStale} {
		_, err := c.far.sweep(ctx, keys.SiblingGlob(kind), func(found string) bool {
			key, ok := keys.KeyOf(kind, found)
			return ok && c.far.owns(key)
		}, nil)
		if err != nil {
			return 0, c.report.Redis(ctx, "clear", err)
		}
	}
	removed, err := c.far.sweep(ctx, c.far.pattern.Glob(), c.far.owns, progress)
	if err != nil {
		return removed, c.report.Redis(ctx, "clear", err)
	}
	return removed, nil
}

func (f *far) owns(key string) bool {
	_, ok := f.pattern.ID(key)
	return ok
}

// sweep unlinks the keys that match glob and for which ours is true, on all primaries
// side by side. It returns how many there were, and the first error.
func (f *far) sweep(ctx context.Context, glob string, ours func(key string) bool, progress func(int64)) (removed int64, first error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var sweeping sync.WaitGroup
	for primary, err := range sender.Primaries(ctx, f.rdb) {
		if err != nil {
			return 0, err
		}
		sweeping.Go(func() {
			err := f.sweepOne(ctx, primary, glob, ours, func(n int64) {
				mu.Lock()
				defer mu.Unlock()
				removed += n
				if progress != nil {
					progress(removed)
				}
			})
			if err != nil {
				cancel(err)
			}
		})
	}
	sweeping.Wait()
	return removed, context.Cause(ctx)
}

// sweepOne is sweep of one primary. It calls removed with how many keys each step found.
func (f *far) sweepOne(ctx context.Context, primary redis.UniversalClient, glob string, ours func(key string) bool, removed func(int64)) error {
	for found, err := range sender.Scan(ctx, primary, glob) {
		if err != nil {
			return err
		}
		var unlinks []redis.Cmder
		for _, key := range found {
			if ours(key) {
				unlinks = append(unlinks, unlink(ctx, key))
			}
		}
		f.sender.DoMany(ctx, sender.Repeatable, unlinks...) // through the client: a slot may have moved
		n := int64(0)
		for _, cmd := range unlinks {
			if err := cmd.Err(); err != nil {
				return err
			}
			n += cmd.(*redis.IntCmd).Val()
		}
		if len(unlinks) > 0 {
			removed(n)
		}
	}
	return nil
}
