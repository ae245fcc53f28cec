package chaos

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/redistest/netlab"
)

// partitions are the faults of networks whose packets are dropped. Nobody is told.
//
// The servers with Sentinels confirm a write only while another server copies it
// (min-replicas-to-write). So a primary that was cut off confirms no more writes soon
// after, and the fault ends when it does not and another one does: from then on nothing is
// lost.
var partitions = []fault{
	{name: "host vanishes for 3 s", topology: labServer, inject: vanish, duration: 3 * time.Second},
	{name: "replies dropped for 3 s", topology: labServer, inject: oneDirection(fromServer), duration: 3 * time.Second, slow: true},
	{name: "requests dropped for 3 s", topology: labServer, inject: oneDirection(toServer), duration: 3 * time.Second},
	{name: "NAT forgets established connections", topology: labServer, inject: forget},
	{name: "Sentinel: clients cut from the primary for 3 s", topology: labSentinels, inject: clientsCut, duration: 3 * time.Second, slow: true},
	{name: "Sentinel: primary cut from Sentinels and replicas, not from clients", topology: labSentinels, inject: primaryCut, loses: true},
	{name: "Sentinel: primary and a minority Sentinel, first in the list, cut from the others", topology: labSentinels, inject: minoritySentinel, loses: true, slow: true},
	{name: "Sentinel: primary and one client cut from all others for 5 s", topology: labSentinels, inject: minorityClient, loses: true, duration: 5 * time.Second, slow: true},
	{name: "Sentinel: primary's host vanishes, and returns", topology: labSentinels, inject: vanishWith(0), loses: true, slow: true},
	{name: "Sentinel: primary's host vanishes with a Sentinel, and returns", topology: labSentinels, inject: vanishWith(1), loses: true},
	{name: "Cluster: bus of a primary cut for 3 s", topology: labCluster, inject: busCut, duration: 3 * time.Second, slow: true},
	{name: "Cluster: bus of a primary cut, replica promoted", topology: labClusterWithReplica, inject: busCutPromoted, loses: true},
}

func labServer(t testing.TB) *topology {
	lab := netlab.New(t)
	s := plainAt(t, lab.Place())
	s.lab = lab
	return s
}

// labSentinels is a primary with two replicas, so that one of them can confirm the writes
// of the other.
func labSentinels(t testing.TB) *topology {
	s := &topology{t: t, lab: netlab.New(t), copies: 2}
	s.sentinel = s.lab.Sentinel(func(o *redistest.SentinelOptions) { o.Replicas = s.copies })
	for _, p := range s.sentinel.Servers() {
		s.run(p, "config", "set", "min-replicas-to-write", "1", "min-replicas-max-lag", "1")
	}
	redistest.Eventually(t, func() bool { return s.confirms(s.sentinel.Master()) }, "the primary confirms writes")
	return s
}

func labCluster(t testing.TB) *topology {
	s := &topology{t: t, lab: netlab.New(t)}
	s.cluster = s.lab.Cluster(3)
	return s
}

// labClusterWithReplica is labCluster in which the first primary has a replica.
func labClusterWithReplica(t testing.TB) *topology {
	s := labCluster(t)
	s.replicas = []*redistest.Process{s.cluster.AddReplica(s.cluster.Nodes()[0])}
	return s
}

// confirms reports whether p confirms writes.
func (s *topology) confirms(p *redistest.Process) bool {
	rdb := s.admin(p)
	defer rdb.Close()
	return rdb.Set(context.Background(), "confirms", 1, time.Minute).Err() == nil
}

// clients returns the hosts of the members.
func (rd *round) clients() []*netlab.Host {
	var hosts []*netlab.Host
	for _, m := range rd.members {
		hosts = append(hosts, m.host)
	}
	return hosts
}

// soon waits for a condition, and looks often: the recovery is measured from then on.
func (rd *round) soon(condition func() bool, what string) {
	rd.t.Helper()
	redistest.Within(rd.t, 15*time.Second, condition, what)
}

func vanish(rd *round, duration time.Duration) {
	s := rd.topology
	heal := s.lab.Vanish(s.lab.Host(s.server))
	time.Sleep(duration)
	heal()
}

type direction bool

const (
	fromServer direction = true
	toServer   direction = false
)

func oneDirection(d direction) func(rd *round, duration time.Duration) {
	return func(rd *round, duration time.Duration) {
		server := rd.topology.lab.Host(rd.topology.server)
		for _, client := range rd.clients() {
			if d == fromServer {
				rd.topology.lab.Cut(server, client)
			} else {
				rd.topology.lab.Cut(client, server)
			}
		}
		time.Sleep(duration)
		rd.topology.lab.Heal()
	}
}

func forget(rd *round, _ time.Duration) {
	s := rd.topology
	s.lab.Forget(s.lab.Host(s.server), rd.clients()...)
}

func clientsCut(rd *round, duration time.Duration) {
	s := rd.topology
	heal := s.lab.Split(s.lab.Host(s.sentinel.Master()), rd.clients()...)
	time.Sleep(duration)
	heal()
}

// but returns the hosts of all servers and Sentinels but some.
func (s *topology) but(some ...*redistest.Process) []*netlab.Host {
	all := slices.Concat(s.sentinel.Watchers(), s.sentinel.Servers())
	return s.lab.Hosts(slices.DeleteFunc(all, func(p *redistest.Process) bool { return slices.Contains(some, p) })...)
}

// awaitPromotion waits until another server than old confirms writes, and old does not.
// Then the network may stay as it is until the fleet works again.
func (rd *round) awaitPromotion(old *redistest.Process) {
	s := rd.topology
	rd.soon(func() bool {
		return slices.ContainsFunc(s.sentinel.Servers(), func(p *redistest.Process) bool {
			return p != old && isPrimary(s, p) && s.confirms(p)
		})
	}, "a replica is promoted")
	rd.soon(func() bool { return !s.confirms(old) }, "the old primary confirms no writes")
}

// healLater heals the network after the recovery. old learns that it is a replica.
func (rd *round) healLater(old *redistest.Process) {
	rd.later(func() {
		rd.topology.lab.Heal()
		redistest.Eventually(rd.t, func() bool { return !isPrimary(rd.topology, old) }, "the old primary is a replica")
	})
}

func primaryCut(rd *round, _ time.Duration) {
	s := rd.topology
	old := s.sentinel.Master()
	s.lab.Split(s.lab.Host(old), s.but(old)...)
	rd.awaitPromotion(old)
	rd.healLater(old)
}

func minoritySentinel(rd *round, _ time.Duration) {
	s := rd.topology
	old, first := s.sentinel.Master(), s.sentinel.Watchers()[0]
	for _, h := range s.lab.Hosts(old, first) {
		s.lab.Split(h, s.but(old, first)...)
	}
	rd.awaitPromotion(old)
	rd.healLater(old)
}

// minorityClient leaves the first member alone with the old primary.
func minorityClient(rd *round, duration time.Duration) {
	s := rd.topology
	old := s.sentinel.Master()
	until := time.Now().Add(duration)
	for _, h := range []*netlab.Host{s.lab.Host(old), rd.members[0].host} {
		s.lab.Split(h, s.but(old)...)
	}
	rd.awaitPromotion(old)
	time.Sleep(time.Until(until))
	s.lab.Heal()
	rd.healLater(old)
}

// vanishWith makes the primary vanish with the first n Sentinels.
func vanishWith(n int) func(rd *round, duration time.Duration) {
	return func(rd *round, _ time.Duration) {
		s := rd.topology
		old := s.sentinel.Master()
		s.lab.Vanish(s.lab.Hosts(append([]*redistest.Process{old}, s.sentinel.Watchers()[:n]...)...)...)
		rd.awaitPromotion(old)
		rd.healLater(old)
	}
}

// whole reports whether all nodes of the Cluster say that it serves all slots.
func (s *topology) whole(nodes ...*redistest.Process) bool {
	return !slices.ContainsFunc(nodes, func(p *redistest.Process) bool {
		rdb := s.admin(p)
		defer rdb.Close()
		return !strings.Contains(rdb.ClusterInfo(context.Background()).Val(), "cluster_state:ok")
	})
}

func busCut(rd *round, duration time.Duration) {
	s := rd.topology
	heal := s.lab.CutBus(s.lab.Host(s.cluster.Nodes()[0]))
	time.Sleep(duration)
	heal()
	rd.soon(func() bool { return s.whole(s.cluster.Nodes()...) }, "the Cluster serves all slots")
}

func busCutPromoted(rd *round, _ time.Duration) {
	s := rd.topology
	old, replica := s.cluster.Nodes()[0], s.replicas[0]
	heal := s.lab.CutBus(s.lab.Host(old))
	rd.soon(func() bool {
		return isPrimary(s, replica) && s.whole(append(s.cluster.Nodes()[1:], replica)...) && !s.whole(old)
	}, "the replica is promoted, and the old primary refuses")
	rd.later(func() {
		heal()
		redistest.Eventually(rd.t, func() bool { return !isPrimary(s, old) }, "the old primary is a replica")
	})
}
