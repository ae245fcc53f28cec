package partitions

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/redistest/netlab"
)

// A fault is a row of the table.
type fault struct {
	name    string
	inject  func(r *run) (survivor *redistest.Process)
	network bool // it cuts a network, which needs root
	callers int  // defaults to 1
	rival   bool // another process waits for a lock that the client holds
	quick   bool // it is among the faults of make test
	silent  bool // an address moves, and nobody is told
}

const minReplicas = true

// short is how long a fault lasts that ends by itself.
const short = 3 * time.Second

var faults = []fault{
	{name: "Sentinel: primary cut off from Sentinels and replica, not from clients", network: true, rival: true, quick: true,
		inject: func(r *run) *redistest.Process { return primaryCut(r, !minReplicas) }},
	{name: "the same, min-replicas-to-write 1", network: true, rival: true,
		inject: func(r *run) *redistest.Process { return primaryCut(r, minReplicas) }},
	{name: "Sentinel: primary and clients cut off together for 20 s", network: true, rival: true,
		inject: func(r *run) *redistest.Process { return minority(r, !minReplicas) }},
	{name: "the same, min-replicas-to-write 1 ", network: true, rival: true,
		inject: func(r *run) *redistest.Process { return minority(r, minReplicas) }},
	{name: "Sentinel: clients cut off from the primary for 3 s, Sentinels not", network: true, inject: clientsCut},
	{name: "Sentinel: the first one in the list and the old primary cut off from the others", network: true, inject: minoritySentinel},
	{name: "Sentinel: the primary's host vanishes with one Sentinel", network: true, inject: vanishWithSentinel},
	{name: "Cluster: bus of a primary cut for 5 s, no replica", network: true, inject: busCut},
	{name: "Cluster: bus of a primary cut, its replica promoted", network: true, inject: busCutPromoted},
	{name: "Cluster: a node accepts and hangs up at once for 3 s", inject: hangUp},
	{name: "one server: its host vanishes for 3 s", network: true, inject: vanish},
	{name: "one server: what it sends is dropped for 3 s", network: true, inject: oneDirection},
	{name: "NAT forgets all flows", network: true, quick: true, inject: forget},
	{name: "NAT forgets all flows, 64 callers", network: true, callers: 64, inject: forget},
	{name: "one address moves, its connections are closed", quick: true,
		inject: func(r *run) *redistest.Process { return addressMoves(r, true) }},
	{name: "one address moves in silence, the old server stays a primary", silent: true,
		inject: func(r *run) *redistest.Process { return addressMoves(r, false) }},
	{name: "a name gets another address, the old server stays a primary", silent: true, inject: nameMoves},
	{name: "one address: the primary is demoted, then the address moves", inject: demoted},
	{name: "clients stopped (SIGSTOP) for 40 s", inject: stopped},
}

// startSentinel starts servers with as many replicas as min-replicas needs after a
// failover.
func (r *run) startSentinel(minReplicas bool) (s *redistest.Sentinel, old *redistest.Process) {
	s = r.lab.Sentinel(func(o *redistest.SentinelOptions) {
		if minReplicas {
			o.Replicas = 2
		}
	})
	for _, p := range s.Servers() {
		rdb := past(p)
		if minReplicas {
			for setting, value := range map[string]string{"min-replicas-to-write": "1", "min-replicas-max-lag": "1"} {
				if err := rdb.ConfigSet(context.Background(), setting, value).Err(); err != nil {
					r.t.Fatal(err)
				}
			}
		}
		rdb.Close()
	}
	old = s.Master()
	soon(r.t, func() bool { return acceptsWrites(old) }, "the primary accepts writes")
	r.start(old, settings{Addrs: s.Addrs(), MasterName: s.MasterName()})
	return s, old
}

// but returns the hosts of all servers and Sentinels but some.
func (r *run) but(s *redistest.Sentinel, some ...*redistest.Process) (others []*netlab.Host) {
next:
	for _, p := range append(s.Watchers(), s.Servers()...) {
		for _, q := range some {
			if p == q {
				continue next
			}
		}
		others = append(others, r.lab.Host(p))
	}
	return others
}

// promoted waits until most Sentinels name a new primary, and that accepts writes.
func (r *run) promoted(s *redistest.Sentinel, old *redistest.Process) (primary *redistest.Process) {
	soon(r.t, func() bool {
		primary = s.Master()
		return primary != old && acceptsWrites(primary)
	}, "a new primary")
	return primary
}

func primaryCut(r *run, minReplicas bool) *redistest.Process {
	s, old := r.startSentinel(minReplicas)
	r.truth.moveTo(nil)
	r.breaks(old.Addr())
	heal := r.lab.Split(r.lab.Host(old), r.but(s, old)...)
	primary := r.promoted(s, old)
	r.counts(primary)
	r.observe()
	heal()
	soon(r.t, func() bool { return isReplica(old) }, "the old primary is a replica")
	return primary
}

func minority(r *run, minReplicas bool) *redistest.Process {
	s, old := r.startSentinel(minReplicas)
	others := r.but(s, old)
	r.truth.moveTo(nil)
	r.breaks()
	began := time.Now()
	for _, h := range append(r.hosts, r.lab.Host(old)) {
		r.lab.Split(h, others...)
	}
	primary := r.promoted(s, old)
	r.sick[primary.Addr()] = true
	r.truth.moveTo(primary)
	r.lasts(time.Until(began.Add(20 * time.Second)))
	r.lab.Heal()
	r.counts(primary)
	r.observe()
	soon(r.t, func() bool { return isReplica(old) }, "the old primary is a replica")
	return primary
}

func clientsCut(r *run) *redistest.Process {
	_, primary := r.startSentinel(!minReplicas)
	r.breaks(primary.Addr())
	heal := r.lab.Split(r.lab.Host(primary), r.hosts...)
	r.lasts(short)
	heal()
	r.counts(primary)
	r.observe()
	return primary
}

func minoritySentinel(r *run) *redistest.Process {
	s, old := r.startSentinel(!minReplicas)
	first := s.Watchers()[0]
	r.truth.moveTo(nil)
	r.breaks(old.Addr())
	others := r.but(s, old, first)
	r.lab.Split(r.lab.Host(old), others...)
	r.lab.Split(r.lab.Host(first), others...)
	primary := r.promoted(s, old)
	r.counts(primary)
	r.observe()
	r.lab.Heal()
	soon(r.t, func() bool { return isReplica(old) }, "the old primary is a replica")
	return primary
}

func vanishWithSentinel(r *run) *redistest.Process {
	s, old := r.startSentinel(!minReplicas)
	r.truth.moveTo(nil)
	gone := s.Watchers()[0]
	r.breaks(old.Addr(), gone.Addr())
	r.lab.Vanish(r.lab.Hosts(old, gone)...)
	primary := r.promoted(s, old)
	r.counts(primary)
	r.observe()
	return primary
}

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
	rdb := past(node)
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
			rdb := past(p)
			info := rdb.ClusterInfo(context.Background()).Val()
			rdb.Close()
			if !strings.Contains(info, "cluster_state:ok") {
				return false
			}
		}
		return true
	}, "the Cluster is whole again")
	r.counts(node)
	r.observe()
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
			rdb := past(p)
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
	r.counts(replica)
	r.observe()
	heal()
	soon(r.t, func() bool { return isReplica(node) }, "the old primary is a replica")
	return replica
}

func acceptsClusterWrites(p *redistest.Process, tag string) bool {
	rdb := past(p)
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
	past(node).ClientKillByFilter(context.Background(), "type", "normal", "skipme", "yes")
	past(node).ClientKillByFilter(context.Background(), "type", "pubsub")
	r.lasts(short)
	r.send("move " + node.Addr() + " " + node.Addr())
	r.counts(node)
	r.observe()
	return node
}

// startOne starts one server on a host of its own.
func (r *run) startOne() *redistest.Process {
	p := r.lab.Start()
	r.start(p, settings{Addrs: []string{p.Addr()}})
	return p
}

func vanish(r *run) *redistest.Process {
	p := r.startOne()
	r.breaks(p.Addr())
	heal := r.lab.Vanish(r.lab.Host(p))
	r.lasts(short)
	heal()
	r.counts(p)
	r.observe()
	return p
}

func oneDirection(r *run) *redistest.Process {
	p := r.startOne()
	r.breaks(p.Addr())
	heal := r.lab.Cut(r.lab.Host(p), r.hosts...)
	r.lasts(short)
	heal()
	r.counts(p)
	r.observe()
	return p
}

func forget(r *run) *redistest.Process {
	p := r.startOne()
	r.breaks()
	r.lab.Forget(r.lab.Host(p), r.hosts...)
	r.counts(p)
	r.observe()
	return p
}

// pair starts a server with a copy of it. promote makes the copy a primary.
func (r *run) pair() (old, next *redistest.Process, promote func()) {
	old = redistest.Start(r.t)
	next = redistest.Start(r.t, "--replicaof", fmt.Sprint(old.Host(), " ", old.Port()))
	redistest.Eventually(r.t, func() bool { return isReplica(next) }, "the copy is complete")
	return old, next, func() {
		if err := past(next).SlaveOf(context.Background(), "NO", "ONE").Err(); err != nil {
			r.t.Fatal(err)
		}
	}
}

func addressMoves(r *run, closed bool) *redistest.Process {
	old, next, promote := r.pair()
	proxy := redistest.StartProxy(r.t, old.Addr())
	r.start(old, settings{Addrs: []string{proxy.Addr()}})
	r.truth.moveTo(nil)
	time.Sleep(50 * time.Millisecond) // the copy gets the last writes
	promote()
	r.breaks()
	proxy.MoveTo(next.Addr())
	if closed {
		proxy.Cut()
	}
	r.counts(next)
	r.observe()
	return next
}

func nameMoves(r *run) *redistest.Process {
	const name = "redis.test:6379"
	old, next, promote := r.pair()
	r.start(old, settings{Addrs: []string{name}, Names: map[string]string{name: old.Addr()}})
	r.truth.moveTo(nil)
	time.Sleep(50 * time.Millisecond)
	promote()
	r.breaks()
	r.send("move " + name + " " + next.Addr())
	r.counts(next)
	r.observe()
	return next
}

func demoted(r *run) *redistest.Process {
	old, next, promote := r.pair()
	proxy := redistest.StartProxy(r.t, old.Addr())
	r.start(old, settings{Addrs: []string{proxy.Addr()}})
	r.truth.moveTo(nil)
	time.Sleep(50 * time.Millisecond)
	promote()
	r.breaks()
	if err := past(old).SlaveOf(context.Background(), next.Host(), fmt.Sprint(next.Port())).Err(); err != nil {
		r.t.Fatal(err)
	}
	r.lasts(500 * time.Millisecond)
	proxy.MoveTo(next.Addr())
	r.counts(next)
	r.observe()
	return next
}

func stopped(r *run) *redistest.Process {
	p := redistest.Start(r.t)
	r.start(p, settings{Addrs: []string{p.Addr()}})
	r.breaks()
	r.nearFrom = r.began // what was written meanwhile was written
	for _, c := range r.processes {
		c.Pause()
	}
	if r.full {
		r.lasts(40 * time.Second)
	} else {
		r.lasts(10 * time.Second)
	}
	for _, c := range r.processes {
		c.Resume()
	}
	r.counts(p)
	r.observe()
	return p
}
