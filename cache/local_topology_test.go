package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
)

// aged makes a near cache whose values would be wrong for an hour if their changes were
// not announced.
func aged(t *testing.T, rdb redis.UniversalClient, set ...func(*cache.Config)) *cache.Cache[string] {
	t.Helper()
	cfg := cache.Config{
		Key: "k:*", TTL: time.Hour, Local: cache.Local{MaxEntries: 1000, MaxAge: time.Hour},
	}
	for _, f := range set {
		f(&cfg)
	}
	c, err := cache.New[string](rdb, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// move moves a slot with its keys, as redis-cli --cluster reshard does.
func move(ctx context.Context, t *testing.T, slot int, from, to *redistest.Process, all []*redistest.Process) {
	t.Helper()
	do := func(p *redistest.Process, args ...any) any {
		v, err := p.Client().Do(ctx, args...).Result()
		if err != nil {
			t.Fatalf("%v: %v", args[:2], err)
		}
		return v
	}
	source, target := do(from, "CLUSTER", "MYID"), do(to, "CLUSTER", "MYID")
	do(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", source)
	do(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", target)
	for {
		found := do(from, "CLUSTER", "GETKEYSINSLOT", slot, 3).([]any)
		if len(found) == 0 {
			break
		}
		do(from, append([]any{"MIGRATE", "127.0.0.1", to.Port(), "", 0, 5000, "KEYS"}, found...)...)
	}
	for _, p := range append([]*redistest.Process{to}, all...) {
		do(p, "CLUSTER", "SETSLOT", slot, "NODE", target)
	}
}

func TestNoReaderIsStaleAfterASlotHasMoved(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	rdb, other, ctx := cluster.Client(), cluster.Client(), t.Context()
	c := aged(t, rdb, verified)
	nodes, slot := cluster.Nodes(), keys.Slot("{m}")
	ids := make([]string, 30)
	for i := range ids {
		ids[i] = fmt.Sprint("{m}", i)
	}
	at := slot * len(nodes) / keys.Slots
	for round := range 4 {
		stop := make(chan struct{})
		var workers sync.WaitGroup
		for worker := range 4 {
			workers.Go(func() {
				for n := 0; ; n++ {
					for _, id := range ids {
						if worker == 0 {
							other.Set(ctx, "k:"+id, fmt.Sprintf(`"%d of %d"`, n, round), time.Hour)
						} else if _, err := c.GetMany(ctx, []string{id, ids[0]}); err != nil && ctx.Err() != nil {
							return
						}
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		next := (at + 1) % len(nodes)
		move(ctx, t, slot, nodes[at], nodes[next], nodes)
		at = next
		close(stop)
		workers.Wait()
		for _, id := range ids {
			redistest.Eventually(t, func() bool {
				held, err := other.Get(ctx, "k:"+id).Result()
				seen, _ := c.Get(ctx, id)
				return err == nil && `"`+seen+`"` == held && near(t, c, id)
			}, "the value that Redis holds is kept")
		}
	}
	redistest.Eventually(t, func() bool { _, _ = c.Get(ctx, ids[0]); return c.Stats().LocalSame > 0 }, "hits are verified")
	if got := c.Stats(); got.LocalState != cache.LocalTracking || got.LocalStale != 0 {
		t.Errorf("stats = %+v", got)
	}
}

func TestABatchIsKeptFromEveryPrimary(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	rdb, ctx := cluster.Client(), t.Context()
	roundTrips := redistest.Trips(rdb)
	c := aged(t, rdb)
	values := map[string]string{}
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprint(i))
		values[ids[i]] = fmt.Sprint("of ", i)
	}
	if err := c.SetMany(ctx, values); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, func() bool {
		hits := c.Stats().LocalHits
		got, err := c.GetMany(ctx, ids)
		return err == nil && len(got) == len(ids) && got["7"] == "of 7" && c.Stats().LocalHits-hits == uint64(len(ids))
	}, "all are kept")
	c.Delete(ctx, ids[:50]...)
	c.GetMany(ctx, ids)
	roundTrips.Take()
	if got, err := c.GetMany(ctx, ids); err != nil || len(got) != 50 {
		t.Errorf("%d, %v", len(got), err)
	}
	for node, n := range roundTrips.TakePerNode() {
		if n > 1 {
			t.Errorf("%d round trips to %s, want 1", n, node)
		}
	}
}

func TestNoReaderIsStaleAfterAFailover(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: sentinel.MasterName(), SentinelAddrs: sentinel.Addrs(),
		DialTimeout: time.Second, ReadTimeout: time.Second, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { rdb.Close() })
	c, ctx := aged(t, rdb, verified), t.Context()
	kept := func(value string) {
		t.Helper()
		redistest.Eventually(t, func() bool {
			v, err := c.Get(ctx, "1")
			return err == nil && v == value && near(t, c, "1")
		}, value, " is kept")
	}
	old := sentinel.Master()
	sentinel.Client(old).Set(ctx, "k:1", `"old"`, time.Hour)
	kept("old")
	old.Pause()
	redistest.Eventually(t, func() bool { return sentinel.Master() != old }, "another primary")
	sentinel.Client(sentinel.Master()).Set(ctx, "k:1", `"new"`, time.Hour)
	kept("new")
	old.Resume()
	sentinel.Client(sentinel.Master()).Set(ctx, "k:1", `"newer"`, time.Hour)
	kept("newer")
	redistest.Eventually(t, func() bool { _, _ = c.Get(ctx, "1"); return c.Stats().LocalSame > 0 }, "hits are verified")
	if got := c.Stats(); got.LocalStale != 0 {
		t.Errorf("stats = %+v", got)
	}
}

// A read of a primary that is paused waits for one time-out.
func TestAReadThatTimedOutIsNotRepeated(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 2)
	ctx := t.Context()
	rdb := cluster.Client(func(o *redis.ClusterOptions) { o.ReadTimeout = 50 * time.Millisecond })
	roundTrips := redistest.Trips(rdb)
	c := aged(t, rdb)
	var err error
	follows := func() bool { // else the read does not go to the primary itself
		misses := c.Stats().LocalMisses
		_, err = c.Get(ctx, "1")
		return c.Stats().LocalMisses > misses
	}
	primary := cluster.Nodes()[keys.Slot("k:1")*2/keys.Slots]
	redistest.Eventually(t, func() bool {
		if !follows() {
			return false
		}
		primary.Pause()
		defer primary.Resume()
		roundTrips.Take()
		return follows()
	}, "a read met a primary that is paused")
	if err == nil || errors.Is(err, cache.ErrMiss) {
		t.Errorf("Get = %v", err)
	}
	if n := roundTrips.Take(); n != 1 {
		t.Errorf("%d round trips, want 1", n)
	}
}

// A key of a slot that is moving is served by a node that the client does not
// take for its primary: it would rely on announcements of the wrong node.
func TestAValueFromAnotherNodeThanItsPrimaryIsNotKept(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 2)
	other, ctx := cluster.Client(), t.Context()
	c, slot := aged(t, cluster.Client()), keys.Slot("k:1")
	at := slot * 2 / keys.Slots
	from, to := cluster.Nodes()[at].Client(), cluster.Nodes()[1-at].Client()
	other.Set(ctx, "k:1", `"v"`, time.Hour)
	redistest.Eventually(t, func() bool { return near(t, c, "1") }, "it is kept")
	other.Del(ctx, "k:1")
	to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.Do(ctx, "CLUSTER", "MYID").Val())
	from.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.Do(ctx, "CLUSTER", "MYID").Val())
	if err := other.Set(ctx, "k:1", `"w"`, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, func() bool { v, _ := c.Get(ctx, "1"); return v == "w" }, "it is read")
	for range 3 {
		if near(t, c, "1") {
			t.Error("it is kept")
		}
	}
}
