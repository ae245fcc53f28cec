package tracking

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
)

func portOf(p *redistest.Process) string { return strconv.Itoa(p.Port()) }

func TestEveryMasterOfAClusterIsFollowed(t *testing.T) {
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
		redistest.Eventually(t, func() bool { return f.told(ids[i]) == 1 }, "told")
	}
	if len(epochs) != 3 {
		t.Errorf("%d epochs of 3 masters", len(epochs))
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
	}, "the dead master's epoch has ended, and no other")
	dead.Restart()
	for _, id := range ids {
		f.await(id, nil)
	}
}

func TestANewMasterIsFollowed(t *testing.T) {
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
		// Until two nodes have shaken hands, each has a name of its own for the other.
		return strings.Contains(to.ClusterNodes(ctx).Val(), source) &&
			strings.Contains(from.ClusterNodes(ctx).Val(), id)
	}, "the new node and the old master know each other by their names")
	slot := keys.Slot(key)
	// Who imported a slot raises its epoch when it gets it, so that all believe it.
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
	n := f.told(key)
	rdb.Set(ctx, key, 2, time.Minute)
	redistest.Eventually(t, func() bool { return f.told(key) > n }, "told by the new master")
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
	redistest.Eventually(t, func() bool { return sentinel.Master() != old }, "another master")
	second := f.await("x", first)
	if first.Valid(Now()) {
		t.Error("the old master's epoch goes on")
	}
	n := f.told("x")
	sentinel.Client(sentinel.Master()).Set(ctx, "x", 1, time.Minute)
	redistest.Eventually(t, func() bool { return f.told("x") > n }, "told by the new master")
	if f.epoch("x") != second {
		t.Error("another epoch")
	}
}
