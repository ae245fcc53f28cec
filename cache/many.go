package cache

import (
	"context"
	"maps"
	"slices"
)

// GetMany returns the values of those ids that have one. With an error the map holds
// what was read all the same.
//
// One round trip: MGET; on a Cluster a pipeline of GET to each primary. With
// Config.Local it is a pipeline of PTTL and GET, for the ids that this process does not
// have. More than 1,000 ids, or values that are large for the connection, take several:
// each ends within its time-out, and what has arrived is used if a later one fails.
func (c *Cache[V]) GetMany(ctx context.Context, ids []string) (map[string]V, error) {
	if err := c.ready("get many", ids...); err != nil {
		return nil, err
	}
	b := c.readBatch(ctx, "get many", ids, false)
	c.stats.misses.Add(uint64(len(b.missed)))
	if b.err != nil {
		return b.found, c.report.Redis(ctx, "get many", b.err)
	}
	return b.found, nil
}

// GetOrLoadMany returns the values of ids, and loads those that the cache does not have:
// load is called with just the misses, once for all that this call may load at once. An
// id that load leaves out of its map does not exist: it is left out of the result, and
// remembered with Config.NegativeTTL. If load returns an error, it stands for the ids
// that are not in its map, and GetOrLoadMany returns it beside what there is.
//
// What GetOrLoad guarantees holds for each id. The call waits for ids that another
// process is loading; if that process fails, load is called once more, for them.
//
// All hits: one round trip, as GetMany, with RefreshAhead a pipeline of PTTL and GET.
// With misses two more: the scripts for their leases in one pipeline, and those for
// their fills in another.
func (c *Cache[V]) GetOrLoadMany(ctx context.Context, ids []string, load func(ctx context.Context, missing []string) (map[string]V, error)) (map[string]V, error) {
	if err := c.ready("get or load many", ids...); err != nil {
		return nil, err
	}
	b := c.readBatch(ctx, "get or load many", ids, true)
	loader := loadMany(c.encode, load)
	c.loads.renewAhead(ctx, b.due, loader)
	for _, hit := range b.chosen {
		c.verifyLater(ctx, hit, loader)
	}
	if len(b.missed) == 0 {
		return b.found, nil
	}
	failed, err := c.missed(ctx, b.err, len(b.missed))
	if err != nil {
		return b.found, err
	}
	m := missing{ids: b.missed, down: failed && !b.answered, load: loader}
	return b.found, c.loads.answers(ctx, m, func(id string, a answer) error {
		switch {
		case a.absent:
			return nil
		case a.err != nil:
			return a.err
		}
		v, err := c.open(a.data)
		if err == nil {
			b.found[id] = v
		}
		return err
	})
}

// SetMany stores values by their ids, each as Set does. It returns the first failure,
// which leaves open which of the values were stored.
//
// One round trip, on a Cluster one to each primary, never sent twice; several for more than
// 1,000 values or so many bytes as the connection carries in 100 ms. After one that fails
// the others are not sent.
func (c *Cache[V]) SetMany(ctx context.Context, values map[string]V) error {
	ids := slices.Collect(maps.Keys(values))
	if err := c.ready("set", ids...); err != nil {
		return err
	}
	encoded := make([][]byte, len(ids))
	for i, id := range ids {
		data, err := c.encode(values[id])
		if err != nil {
			return err
		}
		if c.far.tooLarge(data) {
			c.stats.tooLarge.Add(1)
			return c.report.Fail("set", ErrTooLarge)
		}
		encoded[i] = data
	}
	var first error
	for _, cmd := range c.far.set(ctx, c.keys(ids), encoded) {
		switch _, err := cmd.Int(); {
		case err == nil:
			c.stats.sets.Add(1)
		case first == nil:
			first = c.report.Redis(ctx, "set", err)
		}
	}
	c.changed(ids...)
	return first
}

// A batch is what one read of several ids brought.
type batch[V any] struct {
	found    map[string]V
	missed   []string  // ids without a value
	due      []renewal // values that are about to expire
	chosen   []renewal // values that are to be compared with their source
	answered bool      // Redis answered for at least one id
	err      error     // the first of Redis
}

// readBatch reads each id once.
func (c *Cache[V]) readBatch(ctx context.Context, op string, ids []string, ahead bool) batch[V] {
	b := batch[V]{found: make(map[string]V, len(ids))}
	lookups := make([]lookup[V], 0, len(ids))
	seen := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		if _, again := seen[id]; !again {
			seen[id] = struct{}{}
			lookups = append(lookups, lookup[V]{id: id})
		}
	}
	c.read(ctx, op, lookups, ahead)
	for i := range lookups {
		l := &lookups[i]
		b.answered = b.answered || l.key != "" && l.far.err == nil
		if !l.found {
			b.missed = append(b.missed, l.id)
			if b.err == nil {
				b.err = l.far.err
			}
			continue
		}
		b.found[l.id] = l.value
		if c.loads.due(l.far.ttl) {
			b.due = append(b.due, renewal{l.id, l.key, l.far.data})
		}
		if ahead && c.toVerify(l.key) {
			b.chosen = append(b.chosen, renewal{l.id, l.key, l.far.data})
		}
	}
	return b
}
