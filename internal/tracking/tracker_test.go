package tracking

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestNothingIsSentBeforePrimaryIsCalled(t *testing.T) {
	t.Parallel()
	proxy := redistest.StartProxy(t, redistest.Real(t).Addr())
	rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
	defer rdb.Close()
	f := follow(t, rdb, "x")
	if f.State() != Connecting {
		t.Errorf("state %v", f.State())
	}
	f.Close()
	f.Primary(t.Context(), "x") // nor after Close
	if n := proxy.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestCloseEndsEpochs(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	f := follow(t, s.Client(), s.Prefix())
	first := f.await("x", nil)
	f.Close()
	f.Close()
	if first.Valid(Now()) || f.epoch("x") != nil {
		t.Error("an epoch after Close")
	}
}

func TestClientsThatReadFromReplicasAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []redis.ClusterOptions{{ReadOnly: true}, {RouteByLatency: true}, {RouteRandomly: true}} {
		o.Addrs = []string{"127.0.0.1:1"}
		rdb := redis.NewClusterClient(&o)
		if _, err := New(rdb, Config{}); !errors.Is(err, errReadsReplicas) {
			t.Errorf("New = %v", err)
		}
		rdb.Close()
	}
}

func TestEveryPrimaryOfAClusterIsFollowed(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, "--cluster-require-full-coverage", "no")
	rdb := cluster.Client()
	f, ctx := follow(t, rdb, "x"), t.Context()
	epochs := map[*Epoch]int{}
	var ids []string
	for i := range 30 {
		ids = append(ids, fmt.Sprint("x", i))
		epochs[f.await(ids[i], nil)]++
		rdb.Set(ctx, ids[i], 1, time.Minute)
		redistest.Eventually(t, func() bool { return f.count(ids[i]) == 1 }, "the write is reported")
	}
	if len(epochs) != 3 {
		t.Errorf("%d epochs of 3 primaries", len(epochs))
	}
	dead := cluster.Nodes()[1]
	dead.Kill()
	redistest.Eventually(t, func() bool {
		valid := 0
		for e := range epochs {
			if e.Valid(Now()) {
				valid++
			}
		}
		return valid == 2
	}, "the dead primary's epoch has ended, and no other")
	dead.Restart()
	for _, id := range ids {
		f.await(id, nil)
	}
}

func TestANewPrimaryIsFollowed(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 2)
	rdb := cluster.Client()
	f, ctx, key := follow(t, rdb, "x"), t.Context(), "x1"
	old := f.await(key, nil)
	from, err := rdb.MasterForKey(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	node := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1", "--cluster-node-timeout", "2000")
	to := node.Client()
	first := cluster.Nodes()[0]
	to.ClusterMeet(ctx, "127.0.0.1", portOf(first))
	id, source := fmt.Sprint(to.Do(ctx, "CLUSTER", "MYID").Val()), fmt.Sprint(from.Do(ctx, "CLUSTER", "MYID").Val())
	redistest.Eventually(t, func() bool {
		// Before their handshake, each node has a random name for the other.
		return strings.Contains(to.ClusterNodes(ctx).Val(), source) &&
			strings.Contains(from.ClusterNodes(ctx).Val(), id)
	}, "the new node and the old primary know each other by their names")
	slot := keys.Slot(key)
	// A node that imported a slot raises its config epoch when it owns the slot, so that
	// all nodes accept it.
	if err := to.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", source).Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*redis.Client{to, from} {
		if err := n.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", id).Err(); err != nil {
			t.Fatal(err)
		}
	}
	redistest.Eventually(t, func() bool { return rdb.Set(ctx, key, 1, time.Minute).Err() == nil }, "the slot has moved")
	f.await(key, old)
	n := f.count(key)
	rdb.Set(ctx, key, 2, time.Minute)
	redistest.Eventually(t, func() bool { return f.count(key) > n }, "the new primary reports the write")
}

func TestAFailoverEndsTheEpoch(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: sentinel.MasterName(), SentinelAddrs: sentinel.Addrs(),
		DialTimeout: time.Second, ContextTimeoutEnabled: true,
	})
	defer rdb.Close()
	f, ctx := follow(t, rdb, "x"), t.Context()
	first := f.await("x", nil)
	old := sentinel.Master()
	old.Pause() // it answers nothing, and its connections stay
	defer old.Resume()
	redistest.Eventually(t, func() bool { return sentinel.Master() != old }, "another primary")
	second := f.await("x", first)
	if first.Valid(Now()) {
		t.Error("the old primary's epoch is still valid")
	}
	n := f.count("x")
	sentinel.Client(sentinel.Master()).Set(ctx, "x", 1, time.Minute)
	redistest.Eventually(t, func() bool { return f.count("x") > n }, "the new primary reports the write")
	if f.epoch("x") != second {
		t.Error("another epoch")
	}
}
