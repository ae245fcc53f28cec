// Package netlab runs Redis servers, Sentinels and Clusters in a network that a test can
// cut, packet by packet, as a firewall or a broken switch does: nobody receives a RST, and
// neither side learns anything.
//
//	lab := netlab.New(t)
//	s := lab.Sentinel()
//	primary := lab.Host(s.Master())
//	heal := lab.Split(primary, lab.Others(primary)...) // Here still reaches it
//	...
//	heal()
//
// Each server runs in a network namespace of its own, on port redistest.PlacePort. A
// router, in one more namespace, connects the namespaces with each other and with the test
// process, which dials servers as any others. All cuts are rules of that router. A server's
// Unix socket is not part of the network, so that a test can ask a server that is cut off.
//
// Only root can do this, on Linux, with ip, iptables and nsenter. Everything vanishes with
// the test, and with the test binary when it is killed: no namespace has a name. Labs of
// several binaries do not touch each other: each has a network of 198.18.0.0/15 of its own.
package netlab

import (
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/convkit/rediskit/internal/redistest"
)

// A Lab is a network with its servers. Its methods may be called from any goroutine. They
// fail the test when the network does not become what they say.
type Lab struct {
	t      testing.TB
	router *router

	mu    sync.Mutex
	hosts []*Host // Here is the first
	cuts  []*cut  // those that are not healed
}

// A Host is an end of the network: a server, or this process.
type Host struct {
	ip        string
	namespace *namespace // nil of Here and of Clients
}

// New returns a network that ends with the test. The test is skipped if it does not run as
// root, or fails then if REDISTEST_REQUIRE=1 is set. It is always skipped if this machine
// refuses networks even to root, as a container without privileges does.
func New(t testing.TB) *Lab {
	t.Helper()
	for _, program := range []string{"redis-server", "ip", "iptables-restore", "nsenter"} {
		redistest.Require(t, program)
	}
	redistest.RequireRoot(t, "a network that can be cut")
	r, err := newRouter()
	if err != nil {
		t.Skipf("this machine refuses a network that can be cut: %v", err)
	}
	t.Cleanup(r.close)
	return &Lab{t: t, router: r, hosts: []*Host{{ip: r.ip(here)}}}
}

// Here is this process. It is the client of all servers.
func (l *Lab) Here() *Host { return l.hosts[0] }

// Client returns a host that is this process too, with an address of its own. What its
// Dialer dials can be cut alone.
func (l *Lab) Client() *Host {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	number := here + len(l.hosts)
	if err := l.router.addHere(number); err != nil {
		l.t.Fatalf("connect a client to the network: %v", err)
	}
	h := &Host{ip: l.router.ip(number)}
	l.hosts = append(l.hosts, h)
	return h
}

// Dialer returns a dialer of this process whose connections come from h, which is Here or
// a Client.
func (h *Host) Dialer() *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(h.ip)}}
}

// Host returns the host of a server or a Sentinel of this network.
func (l *Lab) Host(p *redistest.Process) *Host {
	l.t.Helper()
	return l.at(p.Host())
}

// At returns the host of a place of this network.
func (l *Lab) At(place redistest.Place) *Host {
	l.t.Helper()
	return l.at(place.IP)
}

func (l *Lab) at(ip string) *Host {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.hosts, func(h *Host) bool { return h.ip == ip })
	if i < 0 {
		l.t.Fatalf("%s is not in this network", ip)
	}
	return l.hosts[i]
}

// Hosts returns the hosts of servers and Sentinels.
func (l *Lab) Hosts(all ...*redistest.Process) []*Host {
	l.t.Helper()
	hosts := make([]*Host, len(all))
	for i, p := range all {
		hosts[i] = l.Host(p)
	}
	return hosts
}

// Others returns the hosts of all servers and Sentinels but h.
func (l *Lab) Others(h *Host) []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.hosts), func(other *Host) bool { return other == h || other.namespace == nil })
}

// Start starts a redis-server on a new host. It is as redistest.Start otherwise.
func (l *Lab) Start(args ...string) *redistest.Process {
	l.t.Helper()
	return redistest.StartAt(l.t, l.Place(), args...)
}

// Sentinel is redistest.StartSentinel, with each server and Sentinel on a new host.
func (l *Lab) Sentinel(opts ...func(*redistest.SentinelOptions)) *redistest.Sentinel {
	l.t.Helper()
	return redistest.StartSentinel(l.t, append(opts, func(o *redistest.SentinelOptions) { o.Place = l.Place })...)
}

// Cluster is redistest.StartCluster, with each node on a new host, also those of
// AddReplica. A node is down after a second without an answer.
func (l *Lab) Cluster(primaries int, args ...string) *redistest.Cluster {
	l.t.Helper()
	args = append([]string{"--cluster-node-timeout", "1000"}, args...)
	return redistest.StartClusterAt(l.t, l.Place, primaries, args...)
}

// Place makes a new host and returns it as a place for a server or a client
// (redistest.SpawnAt). It serves tests that start them in other ways than Start, Sentinel
// and Cluster.
func (l *Lab) Place() redistest.Place {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	number := here + len(l.hosts)
	n, err := l.router.connect(number)
	if err != nil {
		l.t.Fatalf("connect a host to the network: %v", err)
	}
	h := &Host{ip: l.router.ip(number), namespace: n}
	l.hosts = append(l.hosts, h)
	return redistest.Place{IP: h.ip, Enter: n.enter()}
}

// String returns the address of h.
func (h *Host) String() string { return h.ip }
