package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
)

const (
	copyIDs = 8

	// maxCopyAge is how old a copy may be. When the connection that reports changes has
	// not answered for this long, the cache does not use its copies.
	maxCopyAge = 2 * time.Second

	// settleTime is how long after the last write all members must read it.
	settleTime = 500 * time.Millisecond
)

// copier is what the model needs of a cache that keeps copies in its process.
type copier interface {
	Get(ctx context.Context, id string) (int64, error)
	Close() error
}

// Copies reads numbers through caches with copies in the process. Clients that do not
// use the cache raise the numbers in Redis.
type copies struct {
	open   func(m *member) (copier, error)
	rd     *round
	caches map[*member]copier
	probes map[*member]*cache.Cache[int64] // used by works only
	ids    [copyIDs]number
}

// A number only rises, so a number that is read shows how old it is.
type number struct {
	mu     sync.Mutex
	last   int64
	floors floors
}

func openCopies(m *member, pattern string) (*cache.Cache[int64], error) {
	return cache.New[int64](m.rdb, cache.Config{
		Key: pattern, TTL: time.Minute, Local: cache.Local{MaxEntries: 1000}, Verify: cache.Verify{OneIn: 1},
	})
}

func newCopies() *copies {
	return &copies{open: func(m *member) (copier, error) {
		if m.remote != nil {
			return remoteCopies{m.remote}, nil
		}
		return openCopies(m, "cache:copy:*")
	}}
}

func (c *copies) start(rd *round) {
	c.rd, c.caches, c.probes = rd, map[*member]copier{}, map[*member]*cache.Cache[int64]{}
	for _, m := range rd.members {
		near, err := c.open(m)
		if err != nil {
			rd.t.Fatal(err)
		}
		probe, err := openCopies(m, "cache:probe:*")
		if err != nil {
			rd.t.Fatal(err)
		}
		c.caches[m], c.probes[m] = near, probe
	}
	rd.each(2, time.Millisecond, func(rng *rand.Rand, m *member) { c.read(m, rng.IntN(copyIDs), maxCopyAge) })
	rd.each(1, 20*time.Millisecond, func(rng *rand.Rand, m *member) { c.raise(m, uneven(rng)) })
}

// uneven returns each number half as often as the one before it: some values change all the
// time, and others keep still for long enough to be verified.
func uneven(rng *rand.Rand) int { return min(bits.TrailingZeros64(rng.Uint64()), copyIDs-1) }

// read checks that a copy is not older than age.
func (c *copies) read(m *member, i int, age time.Duration) {
	n := &c.ids[i]
	c.rd.call("Get", func(ctx context.Context) {
		began := time.Now()
		got, err := c.caches[m].Get(ctx, fmt.Sprint(i))
		if err != nil && !errors.Is(err, cache.ErrMiss) {
			return
		}
		c.rd.checked(freshCopies, 1)
		n.mu.Lock()
		low := n.floors.at(began.Add(-age))
		n.mu.Unlock()
		if got < low.version && c.rd.window.durable(low.from, time.Now()) {
			c.rd.violated(freshCopies, "%s was answered %d for number %d, which had been %d for %v",
				m.name, got, i, low.version, began.Sub(low.from))
		}
	})
}

// raising sets the number unless it is higher already, because a repeated older command
// may arrive late.
var raising = redis.NewScript(`
if tonumber(redis.call('GET', KEYS[1]) or 0) < tonumber(ARGV[1]) then
	redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)
end
return 1`)

func (c *copies) raise(m *member, i int) {
	n := &c.ids[i]
	n.mu.Lock()
	n.last++
	version := n.last
	n.mu.Unlock()
	c.rd.call("EVAL", func(ctx context.Context) {
		if raising.Eval(ctx, m.rdb, []string{fmt.Sprint("cache:copy:", i)}, version).Err() != nil {
			return
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.floors.raise(time.Now(), version)
	})
}

// works fails until a copy answers m.
func (c *copies) works(ctx context.Context, m *member) error {
	probe := c.probes[m]
	before := probe.Stats().LocalHits
	_, err := probe.Get(ctx, m.name)
	switch {
	case errors.Is(err, cache.ErrMiss):
		return errors.Join(err, probe.Set(ctx, m.name, 1))
	case err != nil:
		return err
	case probe.Stats().LocalHits == before:
		return errors.New("the value that was read was not kept")
	}
	return nil
}

func (c *copies) check(rd *round) {
	time.Sleep(settleTime)
	for _, m := range rd.members {
		for i := range c.ids {
			c.read(m, i, settleTime)
		}
		c.verified(rd, m)
	}
}

// verified counts what the cache of m has verified, and checks that copies answered.
func (c *copies) verified(rd *round, m *member) {
	var stats cache.Stats
	switch near := c.caches[m].(type) {
	case *cache.Cache[int64]:
		stats = near.Stats()
	case remoteCopies:
		var err error
		if stats, err = near.stats(rd.t.Context()); err != nil {
			rd.t.Errorf("ask the process of %s: %v", m.name, err)
		}
	default: // a stand-in
		return
	}
	if stats.LocalHits == 0 {
		rd.t.Errorf("no copy answered %s", m.name)
	}
	rd.checked(verifiedCopies, int(stats.LocalSame+stats.LocalStale))
	for range stats.LocalStale {
		rd.violated(verifiedCopies, "a hit of %s was out of date: %+v", m.name, stats)
	}
}

func (c *copies) close() error {
	var errs []error
	for m := range c.caches {
		errs = append(errs, c.caches[m].Close(), c.probes[m].Close())
	}
	return errors.Join(errs...)
}
