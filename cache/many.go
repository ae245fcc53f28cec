package cache

import (
	"context"
	"maps"
	"slices"

	"github.com/convkit/rediskit/internal/script"
)

// GetMany returns the values of those ids that have one. With an error the
// map holds what was read all the same.
//
// One round trip: MGET; on a Cluster a pipeline of GET to each master; of PTTL and
// GET with Config.RefreshAhead, and with Config.Local for those ids that it has not.
func (c *Cache[V]) GetMany(ctx context.Context, ids []string) (map[string]V, error) {
	if err := c.ready("get many", ids...); err != nil {
		return nil, err
	}
	b := c.readAll(ctx, "get many", ids)
	c.stats.misses.Add(uint64(len(b.missed)))
	if b.err != nil {
		return b.found, c.report.Redis(ctx, "get many", b.err)
	}
	return b.found, nil
}

// GetOrLoadMany returns the values of ids, and loads those that the cache
// has not: load is called with just the misses, once for all that this call
// may load at once. An id that load leaves out of its map does not exist: it
// is left out of the result, and remembered with Config.NegativeTTL. If load
// returns an error, it stands for the ids that are not in its map, and
// GetOrLoadMany returns it beside what there is.
//
// What GetOrLoad guarantees holds for each id. Ids that another process is
// loading are waited for; if that process fails, load is called once more,
// for them.
//
// All hits: one round trip, on a Cluster one to each master. With misses two
// more: the scripts for their leases in one pipeline, and those for their
// fills in another.
func (c *Cache[V]) GetOrLoadMany(ctx context.Context, ids []string, load func(ctx context.Context, missing []string) (map[string]V, error)) (map[string]V, error) {
	if err := c.ready("get or load many", ids...); err != nil {
		return nil, err
	}
	b := c.readAll(ctx, "get or load many", ids)
	loader := loadMany(c.encode, load)
	c.renewAhead(ctx, b.due, loader)
	if len(b.missed) == 0 {
		return b.found, nil
	}
	failed, err := c.missed(ctx, b.err, len(b.missed))
	if err != nil {
		return b.found, err
	}
	m := missing{ids: b.missed, down: failed && !b.answered, load: loader}
	return b.found, c.answers(ctx, m, func(id string, a answer) error {
		switch {
		case a.absent:
			return nil
		case a.err != nil:
			return a.err
		}
		var v V
		err := c.open(a.data, &v)
		if err == nil {
			b.found[id] = v
		}
		return err
	})
}

// SetMany stores values by their ids, each as Set does. The first failure is
// returned; it leaves open which of the values were stored.
//
// One round trip, on a Cluster one to each master, never sent twice.
func (c *Cache[V]) SetMany(ctx context.Context, values map[string]V) error {
	ids := slices.Collect(maps.Keys(values))
	if err := c.ready("set", ids...); err != nil {
		return err
	}
	calls := make([]script.Call, 0, len(values))
	for _, id := range ids {
		data, err := c.encode(values[id])
		if err != nil {
			return err
		}
		if c.tooLarge(data) {
			c.stats.tooLarge.Add(1)
			return c.report.Fail("set", ErrTooLarge)
		}
		calls = append(calls, c.setCall(c.pattern.Key(id), data))
	}
	var first error
	for _, cmd := range script.Run(ctx, c.rdb, script.Once, calls...) {
		switch _, err := cmd.Int(); {
		case err == nil:
			c.stats.sets.Add(1)
		case first == nil:
			first = c.report.Redis(ctx, "set", err)
		}
	}
	c.changed(ids...)
	c.misses.forget(ids...)
	return first
}

// A batch is what one read of several ids brought.
type batch[V any] struct {
	found    map[string]V
	missed   []string  // ids without a value
	due      []renewal // values that are about to expire
	answered bool      // Redis said something of at least one id
	err      error     // the first of Redis
}

// readAll reads each id once.
func (c *Cache[V]) readAll(ctx context.Context, op string, ids []string) batch[V] {
	b := batch[V]{found: make(map[string]V, len(ids))}
	if len(ids) == 0 {
		return b
	}
	var far []string
	for _, id := range unique(ids) {
		if v, ok := c.nearby(id); ok {
			b.found[id] = v
		} else {
			far = append(far, id)
		}
	}
	if len(far) == 0 {
		return b
	}
	ids = far
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = c.pattern.Key(id)
	}
	entries, claims := c.readFar(ctx, ids, keys)
	for i, e := range entries {
		b.answered = b.answered || e.err == nil
		var v V
		switch {
		case e.found && c.hit(ctx, op, e.data, &v):
			b.found[ids[i]] = v
			c.keep(claims, i, e, v)
			if c.due(e.left) {
				b.due = append(b.due, renewal{ids[i], keys[i], e.data})
			}
			continue
		case e.err != nil && b.err == nil:
			b.err = e.err
		}
		b.missed = append(b.missed, ids[i])
	}
	return b
}

func unique(ids []string) []string {
	seen := make(map[string]struct{}, len(ids))
	once := make([]string, 0, len(ids))
	for _, id := range ids {
		if _, again := seen[id]; !again {
			seen[id] = struct{}{}
			once = append(once, id)
		}
	}
	return once
}
