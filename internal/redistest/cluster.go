package redistest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const hashSlots = 16384

// Cluster is a Redis Cluster of the test's own: masters without replicas.
type Cluster struct {
	t     testing.TB
	nodes []*Process
}

// StartCluster starts a Redis Cluster that ends with the test, its slots
// spread evenly in the order of Nodes, and waits until every node knows it
// whole. args are further settings for each node, as in Start.
func StartCluster(t testing.TB, masters int, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for range masters {
		c.nodes = append(c.nodes, Start(t, append([]string{
			"--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1",
			"--cluster-node-timeout", "2000",
		}, args...)...))
	}
	for i, node := range c.nodes {
		from, to := hashSlots*i/masters, hashSlots*(i+1)/masters-1
		c.do(node, "cluster", "addslotsrange", from, to)
		c.do(node, "cluster", "set-config-epoch", i+1)
		c.do(c.nodes[0], "cluster", "meet", "127.0.0.1", node.Port())
	}
	for _, node := range c.nodes {
		rdb := node.Client()
		Eventually(t, func() bool {
			info := rdb.ClusterInfo(context.Background()).Val()
			return strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", masters)) &&
				strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d\r", hashSlots))
		}, "the cluster is whole on ", node.Addr())
		rdb.Close()
	}
	return c
}

// Nodes are the cluster's servers, by rising slots.
func (c *Cluster) Nodes() []*Process { return c.nodes }

// Addrs are the nodes' addresses in the order of Nodes.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, node := range c.nodes {
		addrs = append(addrs, node.Addr())
	}
	return addrs
}

// Client returns a client of the cluster, closed with the test. Unless opts
// say otherwise it follows redirections but retries nothing else, and honours
// the deadlines of its contexts.
func (c *Cluster) Client(opts ...func(*redis.ClusterOptions)) *redis.ClusterClient {
	o := &redis.ClusterOptions{
		Addrs:                 c.Addrs(),
		MaxRetries:            -1,
		DialerRetries:         1,
		ContextTimeoutEnabled: true,
		DisableIdentity:       true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
	for _, opt := range opts {
		opt(o)
	}
	rdb := redis.NewClusterClient(o)
	c.t.Cleanup(func() { rdb.Close() })
	return rdb
}

func (c *Cluster) do(node *Process, args ...any) {
	c.t.Helper()
	rdb := node.Client()
	defer rdb.Close()
	if err := rdb.Do(context.Background(), args...).Err(); err != nil {
		c.t.Fatalf("build the cluster: %v: %v", args, err)
	}
}
