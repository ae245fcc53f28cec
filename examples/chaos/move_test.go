package chaos

import (
	"context"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
)

// deadAddr is an address at which nothing listens. A proxy that leads there accepts
// connections and hangs up.
const deadAddr = "127.0.0.1:1"

// moves are the faults of addresses that lead elsewhere. The old server of an address that
// moves in silence goes on as a primary. So what it confirms is lost until clients notice,
// 5 s later at most, and until then each promise is about the server that a client uses.
var moves = []fault{
	{name: "address moves to another server, connections closed", topology: pair, inject: moveAddress(true), loses: true},
	{name: "address moves to another server in silence", topology: pair, inject: moveAddress(false), loses: true, settles: 5 * time.Second},
	{name: "demoted behind one address, which then moves", topology: pair, inject: demote, loses: true},
	{name: "address accepts and hangs up", topology: plain(), inject: hangUp, slow: true},
	{name: "Cluster: a node accepts and hangs up", topology: cluster, inject: hangUpNode},
}

// moveAddress promotes the replica, and then makes the address lead to it.
func moveAddress(closed bool) func(rd *round, duration time.Duration) {
	return func(rd *round, _ time.Duration) {
		s := rd.topology
		s.run(s.standby, "replicaof", "no", "one")
		for _, m := range rd.members {
			m.proxy.MoveTo(s.standby.Addr())
			if closed {
				m.proxy.Cut()
			}
		}
	}
}

// demote swaps the roles of both servers, and moves the address later.
func demote(rd *round, duration time.Duration) {
	s := rd.topology
	s.run(s.standby, "replicaof", "no", "one")
	s.follow(s.server, s.standby)
	time.Sleep(duration)
	for _, m := range rd.members {
		m.proxy.MoveTo(s.standby.Addr())
	}
}

// hangUp makes the addresses of all members lead nowhere.
func hangUp(rd *round, duration time.Duration) {
	lead := func(to string) {
		for _, m := range rd.members {
			m.proxy.MoveTo(to)
			m.proxy.Cut()
		}
	}
	lead(deadAddr)
	time.Sleep(duration)
	lead(rd.topology.server.Addr())
}

// hangUpNode does it to one node of a Cluster.
func hangUpNode(rd *round, duration time.Duration) {
	node := rd.topology.cluster.Nodes()[0]
	nowhere := redistest.StartProxy(rd.t, deadAddr)
	for _, m := range rd.members {
		m.moved.Store(node.Addr(), nowhere.Addr())
	}
	rdb := rd.topology.admin(node)
	defer rdb.Close()
	for _, kind := range []string{"normal", "pubsub"} {
		must(rd, rdb.Do(context.Background(), "client", "kill", "type", kind, "skipme", "yes").Err())
	}
	time.Sleep(duration)
	for _, m := range rd.members {
		m.moved.Clear()
	}
}
