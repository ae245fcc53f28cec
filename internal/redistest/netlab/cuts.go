package netlab

import (
	"fmt"
	"slices"

	"github.com/convkit/rediskit/internal/redistest"
)

// busPort is the port of the bus of a Cluster's node.
const busPort = redistest.PlacePort + 10000

// A cut is the rules of the router that one call has added.
type cut struct{ rules []string }

// Cut drops what from sends to each of to. Packets in the other direction pass, but a
// connection needs both. heal ends it. The connections that exist are not closed.
func (l *Lab) Cut(from *Host, to ...*Host) (heal func()) {
	l.t.Helper()
	var rules []string
	for _, h := range to {
		rules = append(rules, between(from, h))
	}
	return l.add(rules)
}

// Split drops all that a and each of others send to each other. heal ends it.
func (l *Lab) Split(a *Host, others ...*Host) (heal func()) {
	l.t.Helper()
	var rules []string
	for _, h := range others {
		rules = append(rules, between(a, h), between(h, a))
	}
	return l.add(rules)
}

// Vanish drops all that the hosts send and receive, as if their machines had lost power.
// The servers run on, without a network. heal ends it.
func (l *Lab) Vanish(hosts ...*Host) (heal func()) {
	l.t.Helper()
	var rules []string
	for _, h := range hosts {
		rules = append(rules, "-s "+h.ip, "-d "+h.ip)
	}
	return l.add(rules)
}

// CutBus drops what a node of a Cluster and the other nodes say to each other on the bus.
// Clients and replication still reach it. heal ends it.
func (l *Lab) CutBus(node *Host) (heal func()) {
	l.t.Helper()
	var rules []string
	for _, end := range []string{"-s", "-d"} {
		for _, port := range []string{"--sport", "--dport"} {
			rules = append(rules, fmt.Sprint(end, " ", node.ip, " -p tcp ", port, " ", busPort))
		}
	}
	return l.add(rules)
}

// Heal ends all cuts.
func (l *Lab) Heal() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cuts = nil
	l.apply()
}

func between(from, to *Host) string { return "-s " + from.ip + " -d " + to.ip }

func (l *Lab) add(rules []string) (heal func()) {
	l.t.Helper()
	c := &cut{rules}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cuts = append(l.cuts, c)
	l.apply()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if i := slices.Index(l.cuts, c); i >= 0 {
			l.cuts = slices.Delete(l.cuts, i, i+1)
			l.apply()
		}
	}
}

// apply gives the rules of all cuts to the router. It needs l.mu.
func (l *Lab) apply() {
	l.t.Helper()
	var rules []string
	for _, c := range l.cuts {
		rules = append(rules, c.rules...)
	}
	if err := l.router.drop(rules...); err != nil {
		l.t.Fatalf("cut the network: %v", err)
	}
}
