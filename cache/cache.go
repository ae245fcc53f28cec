package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/pipeline"
	"github.com/convkit/rediskit/internal/report"
)

// A Cache holds values of one type, each under the id of one object. It is
// safe for concurrent use. Make it with New, once per kind of value, and
// Close it before its client.
type Cache[V any] struct {
	engine
	encode  func(V) ([]byte, error)
	decode  func([]byte, *V) error
	errMiss error
	local   *local[V] // nil without Config.Local
}

// New returns a cache over rdb: a client of a single server, of Sentinel or
// of a Cluster. It sends nothing. A setting that is missing or impossible is
// an error that names the field. A client that rediskit.Connect did not make
// should have ContextTimeoutEnabled set, or calls outlast their contexts. A
// *redis.Ring is refused: it would leave
// the lease of a value on one server and the value on another.
func New[V any](rdb redis.UniversalClient, cfg Config) (*Cache[V], error) {
	if err := report.Client("cache", rdb); err != nil {
		return nil, err
	}
	cfg, pattern, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	c := &Cache[V]{}
	c.rdb, c.cfg, c.pattern = rdb, cfg, pattern
	c.reads = pipeline.For(rdb, cfg.NoPipelining)
	c.report = report.New("cache", cfg.Name, cfg.OnError)
	c.life, c.end = context.WithCancelCause(context.Background())
	c.encode, c.decode = codecOf[V](&c.engine)
	c.verify = c.check
	if c.local, err = newLocal(c); err != nil {
		return nil, err
	}
	c.errMiss = c.report.Fail("get", ErrMiss)
	return c, nil
}

// Get returns the value of id, or ErrMiss. A value that does not decode is a
// miss.
//
// One round trip: GET. With Config.Local none, or PTTL and GET in one.
func (c *Cache[V]) Get(ctx context.Context, id string) (V, error) {
	if err := c.ready("get", id); err != nil {
		return *new(V), err
	}
	if v, ok := c.nearby(id); ok {
		return v, nil
	}
	return c.getFar(ctx, id)
}

// getFar is Get from Redis.
func (c *Cache[V]) getFar(ctx context.Context, id string) (V, error) {
	var v V
	e, claims := c.readOne(ctx, id, c.pattern.Key(id), false)
	switch {
	case e.err != nil:
		return v, c.report.Redis(ctx, "get", e.err)
	case e.found && c.hit(ctx, "get", e.data, &v):
		c.keep(claims, 0, e, v)
		return v, nil
	}
	c.stats.misses.Add(1)
	return v, c.errMiss
}

// GetOrLoad returns the value of id, and on a miss what load returns, which
// is then stored. Each caller gets a value of its own, decoded from the
// stored bytes, so that a miss returns exactly what the next hit will. Only
// Local.ReadOnly makes hits share theirs.
//
// Concurrent misses run one load per process, and one per fleet: the others
// wait. The load runs with the values of the first caller's ctx but not with
// its end; it ends by Config.LoadTimeout. Each caller waits no longer than
// its own ctx. A value that was deleted, or written by anyone, while it was
// being loaded is not overwritten by the load, and a caller that comes after
// a Delete has returned is never answered by a load that began before it.
//
// Errors of load are returned as they are, to every caller that waited; a
// panic is a *PanicError. Redis failures are not returned: load answers, and
// Config.OnError is told.
//
// A hit is one round trip: GET (with RefreshAhead or Local: PTTL and GET), or
// none if Local has the value. A miss is three: GET, then a script for the
// lease, then a script for the fill.
func (c *Cache[V]) GetOrLoad(ctx context.Context, id string, load func(ctx context.Context, id string) (V, error)) (V, error) {
	if err := c.ready("get or load", id); err != nil {
		return *new(V), err
	}
	if v, ok := c.nearby(id); ok {
		return v, nil
	}
	return c.getOrLoadFar(ctx, id, load)
}

// getOrLoadFar is GetOrLoad from Redis.
func (c *Cache[V]) getOrLoadFar(ctx context.Context, id string, load func(ctx context.Context, id string) (V, error)) (V, error) {
	var v V
	key := c.pattern.Key(id)
	e, claims := c.readOne(ctx, id, key, true)
	if e.found && c.hit(ctx, "get or load", e.data, &v) {
		c.keep(claims, 0, e, v)
		if c.due(e.left) {
			c.renewAhead(ctx, []renewal{{id, key, e.data}}, loadOne(c.encode, load))
		}
		return v, nil
	}
	down, err := c.missed(ctx, e.err, 1)
	if err != nil {
		return v, err
	}
	m := missing{ids: []string{id}, down: down, load: loadOne(c.encode, load)}
	err = c.answers(ctx, m, func(_ string, a answer) error {
		if a.err != nil {
			return a.err
		}
		return c.open(a.data, &v)
	})
	return v, err
}

// Set stores v under id for Config.TTL. A load that is under way keeps its
// hands off it. When ctx ends or the connection breaks meanwhile, the error
// leaves open whether v was stored, or will be: what is on its way to Redis
// may arrive late, even after a Delete.
//
// One round trip, never sent twice: a script of SET PX and DEL.
func (c *Cache[V]) Set(ctx context.Context, id string, v V) error {
	return c.SetMany(ctx, map[string]V{id: v})
}

// Delete removes the values of ids, after a change of their source. When it
// has returned nil, every read that begins anywhere in the fleet sees the
// change (with Config.Local in another process: once it was announced there):
// loads that began before do not store what they bring, and nobody
// joins them.
//
// It does not end with ctx, so that a client that hung up does not leave the
// old value in the cache: it is bounded by 2 s of its own. On an error the
// old values may live until their TTL; deleting again is harmless.
//
// One round trip, on a Cluster one to each master: a pipeline of UNLINK. Ids
// whose slot is just moving to another master cost two more.
func (c *Cache[V]) Delete(ctx context.Context, ids ...string) error {
	if err := c.ready("delete", ids...); err != nil || len(ids) == 0 {
		return err
	}
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = c.pattern.Key(id)
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachedTimeout)
	defer cancel()
	err := c.delete(detached, keys)
	c.changed(ids...)
	c.misses.forget(ids...)
	c.stats.deletes.Add(uint64(len(ids)))
	if err != nil {
		return c.report.Redis(context.WithoutCancel(ctx), "delete", err) // the caller's end is not why
	}
	return nil
}

// Stats returns what the cache has counted so far.
func (c *Cache[V]) Stats() Stats {
	stats := c.stats.snapshot(c.report.RedisErrors())
	if c.local != nil {
		stats.LocalState = c.local.state()
	}
	return stats
}

// Name is Config.Name.
func (c *Cache[V]) Name() string { return c.cfg.Name }

// Close ends the cache's loads, and the connections of Config.Local, and waits
// for them. Callers that still wait
// get ErrClosed, as does every later call. It leaves the client open. If a
// loader goes on although its context has ended, Close stops waiting 2 s
// after Config.LoadTimeout and says so. It may be called more than once.
func (c *Cache[V]) Close() error {
	c.closing.Lock()
	c.end(ErrClosed)
	c.closing.Unlock()

	done := make(chan struct{})
	go func() {
		if c.local != nil {
			c.local.tracker.Close()
		}
		c.running.Wait()
		close(done)
	}()
	limit := c.cfg.LoadTimeout + detachedTimeout // for a loader, and to end its lease
	patience := time.NewTimer(limit)
	defer patience.Stop()
	select {
	case <-done:
		return nil
	case <-patience.C:
		return fmt.Errorf("cache: close %s: a loader still runs after %v; let loaders end when their context does", c.cfg.Name, limit)
	}
}

// ready says whether a call may go ahead.
func (c *Cache[V]) ready(op string, ids ...string) error {
	if c.life.Err() != nil {
		return c.report.Fail(op, ErrClosed)
	}
	for _, id := range ids {
		if id == "" {
			return c.report.Fail(op, ErrEmptyID)
		}
	}
	return nil
}

// hit decodes what a read found. False is a miss: the value in Redis is none.
func (c *Cache[V]) hit(ctx context.Context, op, data string, v *V) bool {
	if err := c.decode(bytesOf(data), v); err != nil {
		*v = *new(V) // a decoder may have filled a part
		c.undecodable(ctx, op, err)
		return false
	}
	c.stats.hits.Add(1)
	return true
}

// open decodes the answer to a miss, which is known to be a value.
func (c *Cache[V]) open(data []byte, v *V) error {
	if err := c.decode(data, v); err != nil {
		*v = *new(V)
		return c.report.Fail("decode", kindOf(err))
	}
	return nil
}

// check says why data is no value of the cache.
func (c *Cache[V]) check(data string) error { return c.decode(bytesOf(data), new(V)) }
