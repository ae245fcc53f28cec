package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/near"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/tracking"
)

// A nearStore keeps values in this process. It knows which of them Redis would
// announce if they changed. A nil *nearStore keeps nothing.
type nearStore[V any] struct {
	table   *near.Table[kept[V]]
	tracker *tracking.Tracker
	pattern keys.Pattern
	codec   codec[V]
	cfg     Config
	stats   *counters
	report  *report.Reporter
	checks  *backlog[localCheck[V]] // nil without Config.Verify
}

// kept is a value: encoded, or decoded if Local.ReadOnly is set.
type kept[V any] struct {
	data  string // of a decoded value the digest, for Config.Verify, or nothing
	value V
}

// newNear returns the near store that cfg wants, nil for none.
func newNear[V any](rdb redis.UniversalClient, pattern keys.Pattern, codec codec[V], cfg Config, stats *counters, report *report.Reporter) (*nearStore[V], error) {
	if cfg.Local.MaxEntries == 0 {
		return nil, nil //nolint:nilnil // none is wanted
	}
	n := &nearStore[V]{
		table: near.New[kept[V]](cfg.Local.MaxEntries), pattern: pattern, codec: codec, cfg: cfg, stats: stats, report: report,
	}
	var err error
	n.tracker, err = tracking.New(rdb, tracking.Config{
		Prefix:       pattern.Prefix(),
		Untracked:    cfg.Local.Untracked,
		OnInvalidate: n.announced,
		OnError:      func(err error) { report.OnError(context.Background(), report.Fail("track changes", err)) },
	})
	if err != nil {
		return nil, fmt.Errorf("cache: Config.Local: %w", err)
	}
	return n, nil
}

// announced takes a key that Redis announces as changed.
func (n *nearStore[V]) announced(key string) {
	if id, ok := n.pattern.ID(key); ok {
		n.stats.localInvalidations.Add(1)
		n.table.Invalidate(id)
	}
}

// get returns the value of id that this process holds.
func (n *nearStore[V]) get(id string) (v V, ok bool) {
	if n == nil {
		return v, false
	}
	e := n.table.Get(id)
	if e == nil {
		return v, false
	}
	v = e.Value.value
	if !n.cfg.Local.ReadOnly {
		var err error
		if v, err = n.codec.decode(e.Value.data); err != nil { // it was decoded before it was kept
			return v, false
		}
	}
	if number := n.stats.localHits.Add(1); n.checks.chooses(number) {
		n.checks.add(localCheck[V]{entry: e})
	}
	return v, true
}

// claim returns what put needs to keep a value that is read from Redis after it, and
// the primary to read it from: the one that announces its changes. Without a primary
// nothing would announce them, and the value cannot be kept.
func (n *nearStore[V]) claim(ctx context.Context, id, key string, now time.Duration) (near.Claim, *redis.Client) {
	if n == nil {
		return near.Claim{}, nil
	}
	primary, epoch := n.tracker.Primary(ctx, key)
	if !epoch.Valid(now) {
		n.stats.localBypasses.Add(1)
		return near.Claim{}, nil
	}
	n.stats.localMisses.Add(1)
	return n.table.Claim(id, epoch), primary
}

// put keeps v, which the entry e decoded to, if the claim still holds. read is the
// time, by tracking.Now, before the value was read.
func (n *nearStore[V]) put(claim near.Claim, e entry, v V, read time.Duration) {
	if n == nil {
		return
	}
	age := n.cfg.Local.MaxAge
	switch {
	case e.ttl > 0:
		age = min(age, e.ttl-n.cfg.RefreshAhead) // its renewal is due then
	case e.ttl != noTTL:
		return
	}
	k := kept[V]{data: n.dataToKeep(e.data)}
	if n.cfg.Local.ReadOnly {
		k.value = v
	}
	n.table.Put(claim, k, read+age)
}

// dataToKeep returns the data of kept for an encoded value.
func (n *nearStore[V]) dataToKeep(encoded string) string {
	switch {
	case !n.cfg.Local.ReadOnly:
		return encoded
	case n.checks == nil:
		return ""
	}
	return digest(encoded)
}

// invalidate drops the values of ids, and voids the claims of reads that are under
// way. Call it after every write that was attempted.
func (n *nearStore[V]) invalidate(ids ...string) {
	if n == nil {
		return
	}
	for _, id := range ids {
		n.table.Invalidate(id)
	}
}

// invalidateAll is invalidate for every id.
func (n *nearStore[V]) invalidateAll() {
	if n != nil {
		n.table.InvalidateAll()
	}
}

func (n *nearStore[V]) state() LocalState {
	if n == nil {
		return LocalOff
	}
	return LocalConnecting + LocalState(n.tracker.State())
}

// close ends the connections that announce changes, and waits for that.
func (n *nearStore[V]) close() {
	if n != nil {
		n.tracker.Close()
	}
}
