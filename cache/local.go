package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/near"
	"github.com/convkit/rediskit/internal/tracking"
)

// Local makes a cache keep values in this process too. Redis itself tells
// which of them change, whoever changes them, over a connection of its own to
// each master; while that connection is down, reads go to Redis as without
// Local. The package documentation says what becomes of the guarantees.
type Local struct {
	// MaxEntries is how many values are kept at most, from 1 to 16,777,216.
	// Each costs its size, as encoded or with ReadOnly as decoded, and about
	// 150 bytes. Defaults to 0, off.
	MaxEntries int

	// MaxAge is how long a value answers before it is read from Redis again,
	// whatever happens to the connection that would tell of its changes. At
	// least 1 ms. Defaults to one minute. A value's own TTL, less RefreshAhead,
	// ends it earlier.
	MaxAge time.Duration

	// ReadOnly gives all callers one decoded value, so that a hit decodes
	// nothing. Nobody may change what it points to: the elements of its slices,
	// maps and pointers. Defaults to false, a value for each caller.
	ReadOnly bool

	// Untracked keeps values also where the server refuses to tell of changes,
	// because it cannot or an ACL forbids it. Changes by other processes are
	// then seen after up to MaxAge. Defaults to false, nothing is kept there.
	Untracked bool
}

const (
	defaultMaxAge = time.Minute
	maxMaxEntries = 1 << 24
)

func (l Local) complete() (Local, error) {
	switch {
	case l == Local{}:
		return l, nil
	case l.MaxEntries < 1 || l.MaxEntries > maxMaxEntries:
		return l, fmt.Errorf("cache: Config.Local.MaxEntries is %d; it must be from 1 to %d, or all of Local zero for none", l.MaxEntries, maxMaxEntries)
	case l.MaxAge == 0:
		l.MaxAge = defaultMaxAge
	case l.MaxAge < time.Millisecond:
		return l, fmt.Errorf("cache: Config.Local.MaxAge is %v; it must be at least 1ms, or 0 for its default", l.MaxAge)
	}
	return l, nil
}

// A LocalState is how Config.Local stands, on a Cluster with the worst of its
// masters.
type LocalState int

// The states of Config.Local.
const (
	LocalOff        LocalState = iota // not configured
	LocalConnecting                   // bypassed: the connection that tells of changes is not there, or not yet
	LocalRefused                      // bypassed: the server refuses to tell of changes
	LocalUntracked                    // the same with Local.Untracked: values answer for MaxAge
	LocalTracking                     // in use
)

// String is "off", "connecting", "refused", "untracked" or "tracking".
func (s LocalState) String() string {
	switch s {
	case LocalOff:
		return "off"
	case LocalConnecting:
		return "connecting"
	case LocalRefused:
		return "refused"
	case LocalUntracked:
		return "untracked"
	case LocalTracking:
		return "tracking"
	}
	return fmt.Sprintf("LocalState(%d)", int(s))
}

// A local keeps values in this process.
type local[V any] struct {
	table   *near.Table[kept[V]]
	tracker *tracking.Tracker
}

// kept is a value, encoded or with ReadOnly decoded.
type kept[V any] struct {
	data  string
	value V
}

// claims are what reads need to be kept.
type claims struct {
	of   []near.Claim
	sent time.Duration // before the reads
}

// noTTL is the PTTL of a value without one, as go-redis returns it.
const noTTL time.Duration = -1

func newLocal[V any](c *Cache[V]) (*local[V], error) {
	if c.cfg.Local.MaxEntries == 0 {
		return nil, nil //nolint:nilnil // none is wanted
	}
	l := &local[V]{table: near.New[kept[V]](c.cfg.Local.MaxEntries)}
	var err error
	l.tracker, err = tracking.New(c.rdb, tracking.Config{
		Prefix:    c.pattern.Prefix(),
		Untracked: c.cfg.Local.Untracked,
		OnInvalidate: func(key string) {
			if id, ok := c.pattern.ID(key); ok {
				c.stats.localInvalidations.Add(1)
				l.table.Invalidate(id)
			}
		},
		OnError: func(err error) { c.report.Tell(context.Background(), c.report.Fail("track changes", err)) },
	})
	if err != nil {
		return nil, fmt.Errorf("cache: Config.Local: %w", err)
	}
	c.near = l.table
	return l, nil
}

func (l *local[V]) state() LocalState { return LocalConnecting + LocalState(l.tracker.State()) }

// nearby returns what is kept for id.
func (c *Cache[V]) nearby(id string) (v V, ok bool) {
	if c.local == nil {
		return v, false
	}
	k := c.local.table.Get(id)
	if k == nil {
		return v, false
	}
	if c.cfg.Local.ReadOnly {
		c.stats.localHits.Add(1)
		return k.value, true
	}
	return c.decoded(k.data)
}

func (c *Cache[V]) decoded(data string) (V, bool) {
	v := new(V)
	if c.decode(bytesOf(data), v) != nil { // it has decoded before
		return *new(V), false
	}
	c.stats.localHits.Add(1)
	return *v, true
}

// readOne reads one value from Redis; what it returns beside is for keep.
// ahead says that its TTL matters to RefreshAhead.
func (c *Cache[V]) readOne(ctx context.Context, id, key string, ahead bool) (entry, claims) {
	switch {
	case c.local != nil:
		entries, claims := c.readFar(ctx, []string{id}, []string{key})
		return entries[0], claims
	case ahead:
		return c.read(ctx, key), claims{}
	default:
		return c.get(ctx, key), claims{}
	}
}

// readFar reads values from Redis; what it returns beside is for keep. A value
// may be kept if the server that it was read from tells of its changes. So on a
// Cluster those are read at their master itself, and through the client only if
// that fails, because a slot has moved or the master is gone: not after a time-out,
// which would then be twice as long.
func (c *Cache[V]) readFar(ctx context.Context, ids, keys []string) ([]entry, claims) {
	if c.local == nil {
		return c.readMany(ctx, keys), claims{}
	}
	entries := make([]entry, len(ids))
	cl := claims{of: make([]near.Claim, len(ids)), sent: tracking.Now()}
	at, rest := c.claim(ctx, cl, ids, keys)
	c.readAt(ctx, at, keys, entries)
	if _, cluster := c.rdb.(*redis.ClusterClient); cluster && ctx.Err() == nil {
		for i, e := range entries {
			if e.err != nil && !breaker.TimedOut(e.err) && !errors.Is(e.err, redis.ErrPoolTimeout) {
				cl.of[i] = near.Claim{}
				rest = append(rest, i)
			}
		}
	}
	if len(rest) > 0 {
		for n, e := range c.readMany(ctx, pick(keys, rest)) {
			entries[rest[n]] = e
		}
	}
	return entries, cl
}

// claim fills in the claims of those ids whose changes are told, and returns at
// which master to read them, and the rest.
func (c *Cache[V]) claim(ctx context.Context, cl claims, ids, keys []string) (at map[*redis.Client][]int, rest []int) {
	at = map[*redis.Client][]int{}
	for i, id := range ids {
		master, epoch := c.local.tracker.Master(ctx, keys[i])
		if !epoch.Valid(cl.sent) {
			c.stats.localBypasses.Add(1)
			rest = append(rest, i)
			continue
		}
		c.stats.localMisses.Add(1)
		cl.of[i] = c.local.table.Claim(id, epoch)
		at[master] = append(at[master], i)
	}
	return at, rest
}

// readAt reads keys at their masters, one round trip to each.
func (c *Cache[V]) readAt(ctx context.Context, at map[*redis.Client][]int, keys []string, entries []entry) {
	var masters sync.WaitGroup
	for master, which := range at {
		read := func() {
			if len(which) == 1 && master == c.rdb {
				entries[which[0]] = c.getLeft(ctx, keys[which[0]])
				return
			}
			for n, e := range readPiped(ctx, master, pick(keys, which), true) {
				entries[which[n]] = e
			}
		}
		if len(at) == 1 { // as ever on a single server
			read()
		} else {
			masters.Go(read)
		}
	}
	masters.Wait()
}

func pick(keys []string, which []int) []string {
	picked := make([]string, len(which))
	for n, i := range which {
		picked[n] = keys[i]
	}
	return picked
}

// keep keeps the i-th value that was read, v being what it decoded to.
func (c *Cache[V]) keep(cl claims, i int, e entry, v V) {
	if c.local == nil {
		return
	}
	age := c.cfg.Local.MaxAge
	switch {
	case e.left > 0:
		age = min(age, e.left-c.cfg.RefreshAhead) // then its renewal is due
	case e.left != noTTL:
		return
	}
	k := kept[V]{data: e.data}
	if c.cfg.Local.ReadOnly {
		k = kept[V]{value: v}
	}
	c.local.table.Put(cl.of[i], k, cl.sent+age)
}
