package partitions

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
)

// startCluster starts three primaries. The slot of all keys is of the first.
func (r *run) startCluster(replica bool) (c *redistest.Cluster, node, second *redistest.Process) {
	if r.lab != nil {
		c = r.lab.Cluster(3)
	} else {
		c = redistest.StartCluster(r.t, 3)
	}
	node = c.Nodes()[0]
	if replica {
		second = c.AddReplica(node)
	}
	rdb := node.SocketClient()
	defer rdb.Close()
	for i := 0; ; i++ {
		r.tag = fmt.Sprint("t", i)
		if slot := rdb.ClusterKeySlot(context.Background(), r.tag).Val(); slot < 5000 {
			break
		}
	}
	r.start(node, settings{Addrs: c.Addrs()})
	return c, node, second
}

func busCut(r *run) *redistest.Process {
	c, node, _ := r.startCluster(false)
	r.breaks()
	heal := r.lab.CutBus(r.lab.Host(node))
	r.lasts(5 * time.Second)
	heal()
	soon(r.t, func() bool {
		for _, p := range c.Nodes() {
			rdb := p.SocketClient()
			info := rdb.ClusterInfo(context.Background()).Val()
			rdb.Close()
			if !strings.Contains(info, "cluster_state:ok") {
				return false
			}
		}
		return true
	}, "the Cluster is whole again")
	r.observe(node)
	return node
}

func busCutPromoted(r *run) *redistest.Process {
	c, node, replica := r.startCluster(true)
	r.truth.moveTo(nil)
	r.breaks()
	heal := r.lab.CutBus(r.lab.Host(node))
	soon(r.t, func() bool {
		named := 0
		for _, p := range c.Nodes()[1:] {
			rdb := p.SocketClient()
			slots := rdb.ClusterSlots(context.Background()).Val()
			rdb.Close()
			for _, s := range slots {
				if s.Start == 0 && len(s.Nodes) > 0 && s.Nodes[0].Addr == replica.Addr() {
					named++
				}
			}
		}
		return named == 2 && acceptsClusterWrites(replica, r.tag)
	}, "the replica is promoted")
	r.observe(replica)
	heal()
	soon(r.t, node.IsReplica, "the old primary is a replica")
	return replica
}

func acceptsClusterWrites(p *redistest.Process, tag string) bool {
	rdb := p.SocketClient()
	defer rdb.Close()
	return rdb.Set(context.Background(), "accepts:{"+tag+"}", 1, time.Minute).Err() == nil
}

// send sends a line to both clients.
func (r *run) send(line string) {
	for _, p := range r.processes {
		p.Send(line)
	}
}

func hangUp(r *run) *redistest.Process {
	_, node, _ := r.startCluster(false)
	proxy := redistest.StartProxy(r.t, "127.0.0.1:1") // nothing listens there, so it hangs up
	r.breaks(node.Addr())
	r.send("move " + node.Addr() + " " + proxy.Addr())
	time.Sleep(20 * time.Millisecond)
	node.SocketClient().ClientKillByFilter(context.Background(), "type", "normal", "skipme", "yes")
	node.SocketClient().ClientKillByFilter(context.Background(), "type", "pubsub")
	r.lasts(short)
	r.send("move " + node.Addr() + " " + node.Addr())
	r.observe(node)
	return node
}
