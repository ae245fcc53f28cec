package rediskit_test

import (
	"strings"
	"testing"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
)

// refused reports an error unless Connect refuses cfg at once with all of words.
func refused(t *testing.T, cfg rediskit.Config, words ...string) {
	t.Helper()
	rdb, err := rediskit.Connect(within(t), cfg)
	if err == nil {
		_ = rdb.Close()
		t.Errorf("connected, want %q", words)
		return
	}
	for _, word := range append(words, "Config.MinReplicas: ") {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v; want %q in it", err, word)
		}
	}
}

func TestConnectRefusesTooFewReplicas(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := server.Client()
	cfg := at(server.Addr())
	cfg.MinReplicas = 2
	refused(t, cfg, server.Addr()+" takes writes with 0 replicas", "min-replicas-to-write to 2")
	mustDo(t, admin, "config", "set", "min-replicas-to-write", "1")
	refused(t, cfg, "with 1 replicas")
	mustDo(t, admin, "config", "set", "min-replicas-to-write", "3")
	connect(t, cfg) // it has no replica now; that passes
	mustDo(t, admin, "config", "set", "min-replicas-max-lag", "0")
	refused(t, cfg, "with 0 replicas", "min-replicas-max-lag to 1")
}

// One replica is told by INFO. A larger number is told only to who may read settings.
func TestConnectSaysWhichGrantMinReplicasNeeds(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--min-replicas-to-write", "2")
	admin := server.Client()
	mustDo(t, admin, "acl", "setuser", "app", "on", ">"+canary, "~*", "+@all", "-@dangerous")
	cfg := at(server.Addr())
	cfg.Username, cfg.Password, cfg.MinReplicas = "app", static(canary), 1
	refused(t, cfg, "grant the user +info")
	mustDo(t, admin, "acl", "setuser", "app", "+info", "-eval")
	connect(t, cfg)

	cfg.MinReplicas = 2
	refused(t, cfg, "grant the user +eval and +config|get")
	mustDo(t, admin, "acl", "setuser", "app", "+eval")
	refused(t, cfg, "grant the user +eval and +config|get")
	mustDo(t, admin, "acl", "setuser", "app", "+config|get")
	connect(t, cfg)
}

func TestConnectRefusesAServerThatDoesNotReportReplication(t *testing.T) {
	t.Parallel()
	cfg := at(redistest.Mini(t).Addr())
	cfg.MinReplicas = 1
	refused(t, cfg, "does not report its replication")
}

// Each node counts: replicas are promoted.
func TestEachNodeOfAClusterMustRequireReplicas(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, "--min-replicas-to-write", "1")
	replica := cluster.AddReplica(cluster.Nodes()[0])
	cfg := rediskit.Config{Addrs: cluster.Addrs(), MinReplicas: 1}
	// A replica is in the map of the slots once it has told that it has data.
	mustDo(t, cluster.Nodes()[0].Client(), "set", "b", "in slot 3300")
	for _, node := range cluster.Nodes() {
		rdb := node.Client()
		redistest.Eventually(t, func() bool {
			return len(rdb.ClusterSlots(t.Context()).Val()[0].Nodes) == 2
		}, "the map has the replica")
	}
	connect(t, cfg)
	for _, node := range append(cluster.Nodes(), replica) {
		mustDo(t, node.Client(), "config", "set", "min-replicas-to-write", "0")
		refused(t, cfg, node.Addr())
		mustDo(t, node.Client(), "config", "set", "min-replicas-to-write", "1")
	}
	cfg.MinReplicas = 2
	refused(t, cfg, "with 1 replicas")
}

func TestThePrimaryBehindSentinelsMustRequireReplicas(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	cfg := rediskit.Config{Addrs: sentinel.Addrs(), MasterName: sentinel.MasterName(), MinReplicas: 1}
	refused(t, cfg, "with 0 replicas")
	mustDo(t, sentinel.Client(sentinel.Master()), "config", "set", "min-replicas-to-write", "1")
	rdb := connect(t, cfg)
	redistest.Eventually(t, func() bool { return rdb.Set(t.Context(), "k", "v", 0).Err() == nil }, "a write with a replica")
}
