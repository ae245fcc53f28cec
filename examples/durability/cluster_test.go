package durability

import (
	"context"
	"fmt"
	"slices"

	"github.com/convkit/rediskit/internal/redistest"
)

// startCluster starts three primaries, the first of which has replicas and the slot of all
// keys, and the clients.
func (r *run) startCluster() (c *redistest.Cluster, node *redistest.Process, replicas []*redistest.Process) {
	r.t.Helper()
	c = r.lab.Cluster(3, r.setting.args...)
	node = c.Nodes()[0]
	for range r.setting.replicas {
		replicas = append(replicas, c.AddReplica(node))
	}
	rdb := node.SocketClient()
	defer rdb.Close()
	for i := 0; rdb.ClusterKeySlot(context.Background(), r.tag).Val() >= 5000; i++ {
		r.tag = fmt.Sprint("t", i)
	}
	r.start(target{addrs: c.Addrs()})
	return c, node, replicas
}

// taken waits until the other primaries name one of replicas for the slot, and that is a
// primary.
func (r *run) taken(c *redistest.Cluster, replicas []*redistest.Process) (primary *redistest.Process) {
	r.t.Helper()
	r.soon(func() bool {
		var owners []string
		for _, p := range c.Nodes()[1:] {
			rdb := p.SocketClient()
			for _, s := range rdb.ClusterSlots(context.Background()).Val() {
				if s.Start == 0 && len(s.Nodes) > 0 {
					owners = append(owners, s.Nodes[0].Addr)
				}
			}
			rdb.Close()
		}
		if len(owners) < 2 || len(slices.Compact(owners)) > 1 {
			return false
		}
		i := slices.IndexFunc(replicas, func(p *redistest.Process) bool { return p.Addr() == owners[0] })
		if i < 0 || !isPrimary(replicas[i]) {
			return false
		}
		primary = replicas[i]
		return true
	}, "a replica is promoted")
	return primary
}

func clusterVanish(r *run) *redistest.Process {
	c, node, replicas := r.startCluster()
	r.lab.Vanish(r.lab.Host(node))
	primary := r.taken(c, replicas)
	r.observe()
	return primary
}

func clusterCutOff(r *run) *redistest.Process {
	c, node, replicas := r.startCluster()
	r.isolate(node)
	return r.heal(node, r.taken(c, replicas))
}
