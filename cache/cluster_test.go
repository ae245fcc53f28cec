package cache_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestOnACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	ctx := t.Context()
	newOn := func(t *testing.T, rdb *redis.ClusterClient, prefix string, set ...func(*cache.Config)) *cache.Cache[string] {
		t.Helper()
		cfg := cache.Config{Key: prefix + ":*:list", TTL: time.Minute}
		for _, f := range set {
			f(&cfg)
		}
		c, err := cache.New[string](rdb, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}

	// 1,000 ids lie in all parts of the slots; those with braces say where.
	ids := []string{"{", "}", "{}", "{a}", "a}b{c}", "}{", "{{x}}", "*", "\x00"}
	for i := range 1000 {
		ids = append(ids, fmt.Sprint("id ", i), fmt.Sprintf("{%d}", i))
	}

	t.Run("every id keeps the whole protocol in one slot", func(t *testing.T) {
		c := newOn(t, cluster.Client(), "a", func(cfg *cache.Config) { cfg.StaleFor, cfg.NegativeTTL = time.Minute, time.Minute })
		var l loadIDs
		got, err := c.GetOrLoadMany(ctx, ids, l.load)
		if err != nil || len(got) != len(ids) || len(l.calls) != 1 {
			t.Fatalf("%d of %d, %v, after %d loads", len(got), len(ids), err, len(l.calls))
		}
		if st := c.Stats(); st.Fills != uint64(len(ids)) || st.RedisErrors != 0 {
			t.Errorf("stats = %+v, want every value filled", st)
		}
		if got, err = c.GetMany(ctx, ids); err != nil || len(got) != len(ids) {
			t.Errorf("GetMany: %d of %d, %v", len(got), len(ids), err)
		}
		if err := c.Set(ctx, ids[0], "x"); err != nil {
			t.Error(err)
		}
		if err := c.Delete(ctx, ids[:500]...); err != nil {
			t.Error(err)
		}
		if got, err = c.GetMany(ctx, ids); err != nil || len(got) != len(ids)-500 {
			t.Errorf("after Delete: %d, %v", len(got), err)
		}
		if err := c.SetMany(ctx, maps.Collect(func(yield func(string, string) bool) {
			for _, id := range ids {
				if !yield(id, "w") {
					return
				}
			}
		})); err != nil {
			t.Error(err)
		}
		if n, err := c.Clear(ctx, nil); err != nil || n != int64(len(ids)) {
			t.Errorf("Clear = %d, %v; want %d", n, err, len(ids))
		}
		for _, node := range cluster.Nodes() {
			if left := node.Client().Keys(ctx, "*").Val(); len(left) != 0 {
				t.Errorf("left behind: %.200q", left)
			}
		}
	})

	t.Run("a batch costs at most three round trips to each primary", func(t *testing.T) {
		rdb := cluster.Client()
		roundTrips := redistest.Trips(rdb)
		c := newOn(t, rdb, "b")
		var l loadIDs
		if _, err := c.GetOrLoadMany(ctx, ids, l.load); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(ctx, ids[:10]...); err != nil {
			t.Fatal(err)
		}
		roundTrips.Take()
		if _, err := c.GetOrLoadMany(ctx, ids[:100], l.load); err != nil {
			t.Fatal(err)
		}
		nodes := roundTrips.TakePerNode()
		for node, n := range nodes {
			if n > 3 {
				t.Errorf("%d round trips to %s, want at most 3", n, node)
			}
		}
		if len(nodes) != 3 {
			t.Errorf("%d primaries were asked, want 3", len(nodes))
		}
	})

	t.Run("a value whose slot is moving can be deleted", func(t *testing.T) {
		c := newOn(t, cluster.Client(), "m", func(cfg *cache.Config) { cfg.StaleFor = time.Minute })
		values := map[string]string{"here": "v", "elsewhere": "v"}
		if err := c.SetMany(ctx, values); err != nil {
			t.Fatal(err)
		}
		rdb := cluster.Client()
		key, slot := "m:here:list", keys.Slot("m:here:list")
		rdb.Unlink(ctx, keys.Sibling("stale", key)) // so that not all of its keys are in one place
		from, err := rdb.MasterForKey(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		other := 0
		if cluster.Addrs()[0] == from.Options().Addr {
			other = 1
		}
		to := cluster.Nodes()[other].Client()
		myID := func(rdb *redis.Client) string { return fmt.Sprint(rdb.Do(ctx, "CLUSTER", "MYID").Val()) }
		for rdb, args := range map[*redis.Client][]any{to: {"IMPORTING", myID(from)}, from: {"MIGRATING", myID(to)}} {
			if err := rdb.Do(ctx, append([]any{"CLUSTER", "SETSLOT", slot}, args...)...).Err(); err != nil {
				t.Fatal(err)
			}
			defer rdb.Do(ctx, "CLUSTER", "SETSLOT", slot, "STABLE")
		}
		if err := c.Delete(ctx, "here", "elsewhere"); err != nil {
			t.Errorf("Delete: %v", err)
		}
		if left, err := c.GetMany(ctx, slices.Collect(maps.Keys(values))); err != nil || len(left) != 0 {
			t.Errorf("left %v, %v", left, err)
		}
	})

	t.Run("a write is sent once", func(t *testing.T) {
		proxy := redistest.StartProxy(t, cluster.Addrs()[0])
		rdb := cluster.Client(func(o *redis.ClusterOptions) {
			dial := o.NewClient
			o.NewClient = func(opt *redis.Options) *redis.Client {
				if opt.Addr == cluster.Addrs()[0] {
					opt.Addr = proxy.Addr()
				}
				if dial != nil {
					return dial(opt)
				}
				return redis.NewClient(opt)
			}
		})
		c := newOn(t, rdb, "c")
		onFirst := ""
		for i := 0; onFirst == ""; i++ {
			before := proxy.Requests("EVALSHA")
			if err := c.Set(ctx, fmt.Sprint(i), "v"); err != nil {
				t.Fatal(err)
			}
			if proxy.Requests("EVALSHA") > before {
				onFirst = fmt.Sprint(i)
			}
		}
		before := proxy.Requests("EVALSHA")
		proxy.DropReply("c:" + onFirst + ":list")
		if err := c.SetMany(ctx, map[string]string{onFirst: "w"}); err == nil {
			t.Error("no error, though the reply was lost")
		}
		if got := proxy.Requests("EVALSHA") - before; got != 1 {
			t.Errorf("sent %d times", got)
		}
	})

	t.Run("a dead primary costs only its own ids", func(t *testing.T) {
		c := newOn(t, cluster.Client(func(o *redis.ClusterOptions) { o.MaxRedirects = 1 }), "d")
		values := map[string]string{}
		for _, id := range ids[:300] {
			values[id] = "of " + id
		}
		if err := c.SetMany(ctx, values); err != nil {
			t.Fatal(err)
		}
		cluster.Nodes()[2].Kill()
		got, err := c.GetMany(ctx, ids[:300])
		if err == nil || len(got) < 100 || len(got) > 250 {
			t.Errorf("GetMany: %d of 300, %v; want a part and an error", len(got), err)
		}
		var l loadIDs
		all, err := c.GetOrLoadMany(ctx, ids[:300], l.load)
		if err != nil || len(all) != 300 {
			t.Errorf("GetOrLoadMany: %d of 300, %v", len(all), err)
		}
		for _, call := range l.calls {
			for _, id := range call {
				if _, hit := got[id]; hit {
					t.Errorf("%q was loaded although its primary is up", id)
				}
			}
		}
		fills := c.Stats().Fills
		if all, err := c.GetOrLoadMany(ctx, ids[300:600], l.load); err != nil || len(all) != 300 {
			t.Errorf("GetOrLoadMany: %d of 300, %v", len(all), err)
		}
		if got := c.Stats().Fills - fills; got < 100 || got > 250 {
			t.Errorf("%d of 300 were stored, want those whose primary is up", got)
		}
		if !slices.ContainsFunc(ids[:300], func(id string) bool { _, hit := got[id]; return hit }) {
			t.Error("nothing was read")
		}
		cluster.Nodes()[2].Restart()
	})
}
