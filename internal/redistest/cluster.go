package redistest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const hashSlots = 16384

// A Cluster is a Redis Cluster of the test's own. Its primaries have no replicas unless
// AddReplica adds some.
type Cluster struct {
	t     testing.TB
	place func() Place // of the next node
	args  []string     // of each node
	nodes []*Process
}

// StartCluster starts a Redis Cluster that ends with the test. The slots are spread evenly
// over the primaries, in the order of Nodes. StartCluster waits until every node knows all
// nodes and slots. args are further settings for each node, as in Start.
func StartCluster(t testing.TB, primaries int, args ...string) *Cluster {
	t.Helper()
	return StartClusterAt(t, onLoopback, primaries, args...)
}

// StartClusterAt is StartCluster for nodes at the places that place returns, also those of
// AddReplica.
func StartClusterAt(t testing.TB, place func() Place, primaries int, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, place: place, args: append([]string{
		"--cluster-enabled", "yes", "--cluster-announce-ip", "{host}",
		"--cluster-node-timeout", "2000",
	}, args...)}
	for range primaries {
		c.nodes = append(c.nodes, StartAt(t, place(), c.args...))
	}
	for i, node := range c.nodes {
		from, to := hashSlots*i/primaries, hashSlots*(i+1)/primaries-1
		c.do(node, "cluster", "addslotsrange", from, to)
		c.do(node, "cluster", "set-config-epoch", i+1)
		c.do(c.nodes[0], "cluster", "meet", node.Host(), node.Port())
	}
	for _, node := range c.nodes {
		rdb := node.Client()
		Eventually(t, func() bool {
			info, nodes := rdb.ClusterInfo(context.Background()).Val(), rdb.ClusterNodes(context.Background()).Val()
			return strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", primaries)) &&
				strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d\r", hashSlots)) &&
				// Messages are lost between nodes that are not connected yet or do not know the sender.
				strings.Count(nodes, " connected") == primaries && !strings.Contains(nodes, "handshake")
		}, "the cluster is whole on ", node.Addr())
		rdb.Close()
	}
	return c
}

// AddReplica starts a replica of primary, which takes over when primary fails. It waits
// until the replica has all data of the primary.
func (c *Cluster) AddReplica(primary *Process) *Process {
	c.t.Helper()
	replica := StartAt(c.t, c.place(), c.args...)
	c.do(replica, "cluster", "meet", primary.Host(), primary.Port())
	id := c.id(primary)
	rdb := replica.Client()
	defer rdb.Close()
	ctx := context.Background()
	Eventually(c.t, func() bool { return rdb.ClusterReplicate(ctx, id).Err() == nil }, "the replica knows its primary")
	Eventually(c.t, func() bool {
		return strings.Contains(rdb.Info(ctx, "replication").Val(), "master_link_status:up")
	}, "the replica has all data of its primary")
	for _, node := range c.nodes { // so that they hear its requests for votes, and it hears their votes
		other := node.Client()
		Eventually(c.t, func() bool {
			return connects(other.ClusterNodes(ctx).Val(), replica) && connects(rdb.ClusterNodes(ctx).Val(), node)
		}, "the cluster knows the replica")
		other.Close()
	}
	return replica
}

// connects reports whether CLUSTER NODES, as one node answers it, says that this node is
// connected to p and to all other nodes that it knows.
func connects(nodes string, p *Process) bool {
	return strings.Contains(nodes, p.Addr()+"@") && !strings.Contains(nodes, "handshake") && !strings.Contains(nodes, "disconnected")
}

// MoveBusySlots moves each slot of from that holds keys to another primary, key by key,
// while clients use them.
func (c *Cluster) MoveBusySlots(from, to *Process) {
	c.t.Helper()
	ctx := context.Background()
	source, target := from.Client(), to.Client()
	defer source.Close()
	defer target.Close()
	sourceID, targetID := c.id(from), c.id(to)
	for _, slot := range c.busySlots(source, sourceID) {
		c.do(to, "cluster", "setslot", slot, "importing", sourceID)
		c.do(from, "cluster", "setslot", slot, "migrating", targetID)
		for {
			keys, err := source.ClusterGetKeysInSlot(ctx, slot, 100).Result()
			if err != nil {
				c.t.Fatalf("move a slot: %v", err)
			}
			if len(keys) == 0 {
				break
			}
			args := []any{"migrate", to.Host(), to.Port(), "", 0, 5000, "replace", "keys"}
			for _, key := range keys {
				args = append(args, key)
			}
			c.do(from, args...)
		}
		for _, node := range []*Process{to, from} { // the new owner first
			c.do(node, "cluster", "setslot", slot, "node", targetID)
		}
	}
}

// busySlots returns the slots of a primary that hold keys.
func (c *Cluster) busySlots(rdb *redis.Client, id string) []int {
	c.t.Helper()
	ctx := context.Background()
	shards, err := rdb.ClusterShards(ctx).Result()
	if err != nil {
		c.t.Fatalf("read the slots: %v", err)
	}
	var slots []int
	var counts []*redis.IntCmd
	pipe := rdb.Pipeline()
	for _, shard := range shards {
		if !slices.ContainsFunc(shard.Nodes, func(n redis.Node) bool { return n.ID == id }) {
			continue
		}
		for _, r := range shard.Slots {
			for slot := int(r.Start); slot <= int(r.End); slot++ {
				slots = append(slots, slot)
				counts = append(counts, pipe.ClusterCountKeysInSlot(ctx, slot))
			}
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		c.t.Fatalf("count the keys of slots: %v", err)
	}
	var busy []int
	for i, slot := range slots {
		if counts[i].Val() > 0 {
			busy = append(busy, slot)
		}
	}
	return busy
}

// id returns the name of a node in the cluster.
func (c *Cluster) id(node *Process) string {
	c.t.Helper()
	rdb := node.Client()
	defer rdb.Close()
	id, err := rdb.Do(context.Background(), "cluster", "myid").Text()
	if err != nil {
		c.t.Fatalf("read a node's id: %v", err)
	}
	return id
}

// Nodes returns the primaries with which the cluster was started, by rising slots.
func (c *Cluster) Nodes() []*Process { return c.nodes }

// Addrs returns the addresses of the primaries in the order of Nodes.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, node := range c.nodes {
		addrs = append(addrs, node.Addr())
	}
	return addrs
}

// Client returns a client of the cluster that is closed with the test. Unless opts say
// otherwise, it follows redirections, retries nothing else, and honours the deadlines of
// its contexts.
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
