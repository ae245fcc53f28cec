package cache

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/sender"
)

// A Cache holds values of one type, each under the id of one object. It is safe for
// concurrent use. Make it with New, once per kind of value, and Close it before its
// client.
type Cache[V any] struct {
	cfg     Config
	report  *report.Reporter
	stats   *counters
	life    *life.Life
	errMiss error

	codec codec[V]      // values as bytes
	far   *far          // values in Redis
	near  *nearStore[V] // values in this process; nil without Config.Local
	loads *loads        // values that are being loaded

	checks *backlog[sourceCheck] // hits in Redis to verify; nil without Config.Verify.Source
}

// New returns a cache over rdb: a client of a single server, of Sentinel or of a
// Cluster. It sends nothing. A setting that is missing or impossible is an error that
// names the field. A client that rediskit.Connect did not make should have
// ContextTimeoutEnabled set, or calls outlast their contexts. A *redis.Ring is refused:
// it would leave the lease of a value on one server and the value on another.
func New[V any](rdb redis.UniversalClient, cfg Config) (*Cache[V], error) {
	if err := report.Client("cache", rdb); err != nil {
		return nil, err
	}
	cfg, pattern, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	c := &Cache[V]{
		cfg:    cfg,
		report: report.New("cache", cfg.Name, cfg.OnError),
		stats:  &counters{},
		codec:  codecOf[V](cfg.Codec),
		far:    &far{rdb: rdb, sender: sender.New(rdb, cfg.NoPipelining), pattern: pattern, cfg: cfg},
	}
	c.errMiss = c.report.Fail("get", ErrMiss)
	background := func(err error) {
		c.report.OnError(context.Background(), c.report.Fail("run in the background", err))
	}
	c.life = life.New(background)
	if c.near, err = newNear(rdb, pattern, c.codec, cfg, c.stats, c.report); err != nil {
		return nil, err
	}
	c.loads = &loads{
		far: c.far, cfg: cfg, report: c.report, stats: c.stats, life: c.life,
		check: c.codec.check, recode: c.codec.recode, changed: c.near.invalidate,
	}
	if cfg.Verify.OneIn > 0 && c.near != nil {
		c.near.checks = newBacklog(cfg.Verify.OneIn, c.life, background, &c.stats.verifiedLocal, c.near.verify)
	}
	if cfg.Verify.Source > 0 {
		c.checks = newBacklog(cfg.Verify.OneIn, c.life, background, &c.stats.verifiedSource, c.loads.verifySource)
	}
	return c, nil
}

// Get returns the value of id, or ErrMiss. A value that does not decode is a miss.
//
// One round trip: GET. With Config.Local none, or PTTL and GET in one.
func (c *Cache[V]) Get(ctx context.Context, id string) (V, error) {
	if err := c.ready("get", id); err != nil {
		return *new(V), err
	}
	one := [1]lookup[V]{{id: id}}
	c.read(ctx, "get", one[:], false)
	switch l := &one[0]; {
	case l.found:
		return l.value, nil
	case l.far.err != nil:
		return *new(V), c.report.Redis(ctx, "get", l.far.err)
	}
	c.stats.misses.Add(1)
	return *new(V), c.errMiss
}

// GetOrLoad returns the value of id. On a miss it returns what load returns, and stores
// it. Each caller gets a value of its own, decoded from the stored bytes, so that a miss
// returns exactly what the next hit will. Only with Local.ReadOnly do hits share theirs.
//
// Concurrent misses run one load per process, and one per fleet: the others wait. The
// load runs with the values of the first caller's ctx but not with its end; it ends by
// Config.LoadTimeout. Each caller waits no longer than its own ctx. If a value was
// deleted, or written by any program, while it was being loaded, the load does not
// overwrite it. A caller that comes after a Delete has returned is never answered by a
// load that began before it.
//
// Errors of load are returned as they are, to every caller that waited; a panic is a
// *PanicError. Failures of Redis are not returned: load answers, and Config.OnError
// receives them.
//
// A hit is one round trip: GET (with RefreshAhead or Local: PTTL and GET), or none if
// this process has the value. A miss is three: GET, a script for the lease, a script for
// the fill.
func (c *Cache[V]) GetOrLoad(ctx context.Context, id string, load func(ctx context.Context, id string) (V, error)) (V, error) {
	if err := c.ready("get or load", id); err != nil {
		return *new(V), err
	}
	one := [1]lookup[V]{{id: id}}
	c.read(ctx, "get or load", one[:], true)
	l := &one[0]
	if !l.found {
		return c.loadMissing(ctx, id, l.far.err, load)
	}
	if c.toVerify(l.key) {
		c.verifyLater(ctx, renewal{id, l.key, l.far.data}, loadOne(c.encode, load))
	}
	if c.loads.due(l.far.ttl) {
		c.loads.renewAhead(ctx, []renewal{{id, l.key, l.far.data}}, loadOne(c.encode, load))
	}
	return l.value, nil
}

// loadMissing is GetOrLoad after a read that found nothing or failed with err.
func (c *Cache[V]) loadMissing(ctx context.Context, id string, err error, load func(context.Context, string) (V, error)) (v V, _ error) {
	down, err := c.missed(ctx, err, 1)
	if err != nil {
		return v, err
	}
	m := missing{ids: []string{id}, down: down, load: loadOne(c.encode, load)}
	err = c.loads.answers(ctx, m, func(_ string, a answer) (err error) {
		if a.err != nil {
			return a.err
		}
		v, err = c.open(a.data)
		return err
	})
	return v, err
}

// Set stores v under id for Config.TTL. A load that is under way does not overwrite it.
// If ctx ends or the connection breaks meanwhile, the error leaves open whether v was
// stored, or will be: what is on its way to Redis may arrive late, even after a Delete.
//
// One round trip, never sent twice: a script of SET PX and DEL.
func (c *Cache[V]) Set(ctx context.Context, id string, v V) error {
	return c.SetMany(ctx, map[string]V{id: v})
}

// Delete removes the values of ids, after a change of their source. When it has returned
// nil, every read that begins anywhere in the fleet sees the change; with Config.Local,
// a read in another process sees it once it was announced there. Loads that began before
// do not store what they bring, and no later caller joins them.
//
// Delete does not end with ctx, so that a client that hung up does not leave the old
// value in the cache: it is bounded by 2 s of its own. On an error the old values may
// stay until their TTL; deleting again is harmless.
//
// One round trip, on a Cluster one to each primary: a pipeline of UNLINK. Ids whose slot
// moves to another primary at that moment cost two more.
func (c *Cache[V]) Delete(ctx context.Context, ids ...string) error {
	if err := c.ready("delete", ids...); err != nil || len(ids) == 0 {
		return err
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachedTimeout)
	defer cancel()
	err := c.far.delete(detached, c.keys(ids))
	c.changed(ids...)
	c.stats.deletes.Add(uint64(len(ids)))
	if err != nil {
		return c.report.Redis(context.WithoutCancel(ctx), "delete", err) // not because ctx ended
	}
	return nil
}

// Stats returns what the cache has counted so far.
func (c *Cache[V]) Stats() Stats {
	stats := c.stats.snapshot(c.report.RedisErrors())
	stats.LocalState = c.near.state()
	return stats
}

// Name returns Config.Name.
func (c *Cache[V]) Name() string { return c.cfg.Name }

// Close ends the cache's loads, and the connections of Config.Local, and waits for them.
// Callers that still wait get ErrClosed, as does every later call. It leaves the client
// open. If a loader goes on although its context has ended, Close stops waiting 2 s after
// Config.LoadTimeout and returns an error that says so. It may be called more than once.
func (c *Cache[V]) Close() error {
	c.life.End(ErrClosed)
	c.near.close()
	limit := c.cfg.LoadTimeout + detachedTimeout // for a loader to return, and for the end of its lease
	if !c.life.Wait(limit) {
		return fmt.Errorf("cache: close %s: a loader still runs after %v; let loaders end when their context does", c.cfg.Name, limit)
	}
	return nil
}

// ready returns why a call may not go ahead.
func (c *Cache[V]) ready(op string, ids ...string) error {
	if c.life.Ended() {
		return c.report.Fail(op, ErrClosed)
	}
	for _, id := range ids {
		if id == "" {
			return c.report.Fail(op, ErrEmptyID)
		}
	}
	return nil
}

// missed counts n misses and reports whether Redis is down. An error is the end of the
// caller's own ctx.
func (c *Cache[V]) missed(ctx context.Context, err error, n int) (down bool, _ error) {
	c.stats.misses.Add(uint64(n))
	switch {
	case err == nil:
		return false, nil
	case report.End(ctx) != nil:
		return false, c.report.Redis(ctx, "get or load", err)
	}
	c.loads.redisFailed(ctx, "get or load", err)
	return true, nil
}

// changed makes sure that what was known of ids before answers no later caller of this
// process. It is called after every write that was passed to the client, whatever became of
// it, and not after one that the cache itself refused.
func (c *Cache[V]) changed(ids ...string) {
	c.near.invalidate(ids...)
	c.loads.misses.forget(ids...)
}

// encode returns the bytes of a value that is to be stored.
func (c *Cache[V]) encode(v V) ([]byte, error) {
	data, err := c.codec.encode(v)
	if err != nil {
		return nil, c.report.Fail("encode", err)
	}
	return data, nil
}

// open decodes the answer to a miss.
func (c *Cache[V]) open(data []byte) (V, error) {
	v, err := c.codec.decode(stringOf(data))
	if err != nil {
		return v, c.report.Fail("decode", err)
	}
	return v, nil
}

func (c *Cache[V]) keys(ids []string) []string {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = c.far.pattern.Key(id)
	}
	return keys
}
