package sender_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

func TestOnACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	ctx := t.Context()
	// onNode is a key of the node'th master.
	onNode := func(node int, prefix string) string {
		for i := 0; ; i++ {
			key := fmt.Sprint(prefix, ":", i)
			if keys.Slot(key)*3/keys.Slots == node {
				return key
			}
		}
	}

	t.Run("a master that hangs holds up only its own keys", func(t *testing.T) {
		rdb := cluster.Client()
		g := newGate()
		rdb.OnNewNode(func(node *redis.Client) {
			if node.Options().Addr == cluster.Addrs()[0] {
				node.AddHook(hook(g.hold))
			}
		})
		c := sender.New(rdb, false)
		held, free := onNode(0, "hung"), onNode(1, "free")
		others := g.fill(t, c, sender.Read, held)
		for range 20 {
			others.Go(func() { get(ctx, c, held) })
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if _, err := get(ctx, c, free); err != redis.Nil {
					t.Errorf("a key of another master: %v", err)
				}
			})
		}
		all.Wait()
		close(g.open)
		others.Wait()
	})

	t.Run("nothing is lost, doubled or mixed up while a slot moves", func(t *testing.T) {
		rdb := cluster.Client()
		c := sender.New(rdb, false)
		tag := "{" + onNode(0, "moves") + "}"
		const n = 60
		key := func(i int) string { return fmt.Sprint(tag, i) }
		for i := range n {
			if err := rdb.Set(ctx, key(i), i, time.Hour).Err(); err != nil {
				t.Fatal(err)
			}
		}
		rdb.Set(ctx, tag+"n", 0, time.Hour)
		var charged, reads atomic.Int64
		moved := make(chan struct{})
		var all sync.WaitGroup
		for caller := range 32 {
			all.Go(func() {
				for i := caller; ; i++ {
					select {
					case <-moved:
						return
					default:
					}
					if got, err := get(ctx, c, key(i%n)); err != nil || got != fmt.Sprint(i%n) {
						t.Errorf("GET of %d: %q, %v", i%n, got, err)
						return
					}
					reads.Add(1)
					if _, err := charge(ctx, c, tag+"n"); err != nil {
						t.Errorf("a charge: %v", err)
						return
					}
					charged.Add(1)
				}
			})
		}
		some := func() int64 { return reads.Load() + 200 }
		for more := some(); reads.Load() < more && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
		move(t, cluster, keys.Slot(tag), 0, 1, func() {
			for more := some(); reads.Load() < more && !t.Failed(); {
				time.Sleep(time.Millisecond)
			}
		})
		for more := some(); reads.Load() < more && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
		close(moved)
		all.Wait()
		if got, err := rdb.Get(ctx, tag+"n").Int64(); err != nil || got != charged.Load() {
			t.Errorf("charged %d, %v; want %d", got, err, charged.Load())
		}
	})
}

// move moves a slot from one node to another, key by key, and calls between
// when it has begun, when half of the keys have moved, and before it ends.
func move(t *testing.T, cluster *redistest.Cluster, slot, from, to int, between func()) {
	t.Helper()
	ctx := context.Background()
	source, target := cluster.Nodes()[from].Client(), cluster.Nodes()[to].Client()
	do := func(rdb *redis.Client, args ...any) any {
		v, err := rdb.Do(ctx, args...).Result()
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
		return v
	}
	sourceID, targetID := do(source, "cluster", "myid"), do(target, "cluster", "myid")
	do(target, "cluster", "setslot", slot, "importing", sourceID)
	do(source, "cluster", "setslot", slot, "migrating", targetID)
	between()
	all := do(source, "cluster", "getkeysinslot", slot, 1000).([]any)
	for i, key := range all {
		if i == len(all)/2 {
			between()
		}
		do(source, "migrate", "127.0.0.1", cluster.Nodes()[to].Port(), key, 0, 5000)
	}
	between()
	for _, rdb := range []*redis.Client{target, source} {
		do(rdb, "cluster", "setslot", slot, "node", targetID)
	}
}

// go-redis cannot read the map of such a Cluster, and says redis.Nil.
func TestARoutingErrorIsNeverTheAbsenceOfAKey(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 1, "--cluster-preferred-endpoint-type", "unknown-endpoint")
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addrs()})
	defer rdb.Close()
	if err := rdb.Get(t.Context(), "k").Err(); err != redis.Nil {
		t.Fatalf("go-redis says %v; if it reads such a map now, this protection has no use", err)
	}
	for _, direct := range []bool{false, true} {
		s := sender.New(rdb, direct)
		for class := range sender.Class(sender.Classes) {
			a, b := redis.NewStringCmd(t.Context(), "get", "k"), redis.NewStringCmd(t.Context(), "get", "k")
			if err := s.Do(t.Context(), class, "k", a, b); err != nil || a.Err() != sender.ErrNoMap || b.Err() != sender.ErrNoMap {
				t.Errorf("class %d: %v, %v, %v", class, err, a.Err(), b.Err())
			}
			many := redis.NewStringCmd(t.Context(), "get", "k")
			if s.DoMany(t.Context(), class, many); many.Err() != sender.ErrNoMap {
				t.Errorf("DoMany of class %d: %v", class, many.Err())
			}
		}
	}
	if _, err := sender.PrimaryOf(t.Context(), rdb, "k"); err != sender.ErrNoMap {
		t.Errorf("PrimaryOf: %v", err)
	}
	for _, err := range sender.Primaries(t.Context(), rdb) {
		if err != sender.ErrNoMap {
			t.Errorf("Primaries: %v", err)
		}
	}
	for _, err := range sender.Nodes(t.Context(), rdb) {
		if err != sender.ErrNoMap {
			t.Errorf("Nodes: %v", err)
		}
	}
}
