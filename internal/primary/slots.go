package primary

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

const allSlots = 16384

// A nodeAnswer is what one node of a Cluster says.
type nodeAnswer struct {
	asked  string              // the address
	id     string              // of the node that was asked; "" if it does not say
	epochs map[string]int64    // configuration epochs by node id; nil if it does not say
	ranges []redis.ClusterSlot // in order
	denied bool                // CLUSTER NODES
}

// A slotMap is what all nodes say together.
type slotMap struct {
	slots    []redis.ClusterSlot
	text     string          // the same for equal maps
	owners   map[string]bool // addresses of the nodes that own slots
	nodes    map[string]bool // addresses of all nodes in the map
	majority bool            // most owners have answered
	epoch    int64           // the greatest configuration epoch that a node knows
	denied   bool            // CLUSTER NODES, by some node
	host     string          // of a node that has answered
}

// parseAnswer reads the replies of CLUSTER SLOTS and CLUSTER NODES of the node that
// was asked at addr. That node may leave CLUSTER NODES unanswered.
func parseAnswer(addr string, slots *redis.Cmd, nodes *redis.StringCmd) (nodeAnswer, error) {
	list, err := slots.Slice()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nodeAnswer{}, err
	}
	a := nodeAnswer{asked: addr, denied: redis.IsPermissionError(nodes.Err())}
	for _, entry := range list {
		r, ok := parseRange(addr, entry)
		if !ok {
			return nodeAnswer{}, errNotRedis
		}
		a.ranges = append(a.ranges, r)
	}
	slices.SortFunc(a.ranges, func(r, q redis.ClusterSlot) int { return cmp.Compare(r.Start, q.Start) })
	if nodes.Err() == nil {
		a.epochs = map[string]int64{}
	}
	for line := range strings.Lines(nodes.Val()) {
		// id address flags primary pinged ponged epoch …
		fields := strings.Fields(line)
		if len(fields) < 7 {
			continue
		}
		a.epochs[fields[0]], _ = strconv.ParseInt(fields[6], 10, 64)
		if strings.Contains(fields[2], "myself") {
			a.id = fields[0]
		}
	}
	return a, nil
}

// parseRange reads one element of CLUSTER SLOTS: the first slot, the last one, and
// nodes, of which the first owns the slots.
func parseRange(asked string, entry any) (r redis.ClusterSlot, ok bool) {
	list, _ := entry.([]any)
	if len(list) < 3 {
		return r, false
	}
	first, isFirst := list[0].(int64)
	last, isLast := list[1].(int64)
	if !isFirst || !isLast || first < 0 || last < first || last >= allSlots {
		return r, false
	}
	r.Start, r.End = int(first), int(last)
	for _, item := range list[2:] {
		about, _ := item.([]any)
		if len(about) < 2 {
			return r, false
		}
		host, _ := about[0].(string)
		port, isPort := about[1].(int64)
		if !isPort {
			return r, false
		}
		var node redis.ClusterNode
		if len(about) > 2 {
			node.ID, _ = about[2].(string)
		}
		if len(about) > 3 && host == "?" { // it prefers a host name, and has none
			host = field(about[3], "ip")
		}
		node.Addr = address(asked, host, port)
		r.Nodes = append(r.Nodes, node)
	}
	return r, true
}

// address returns where a node is that another one, asked at an address, has named. A
// node without a host, or on a loopback address, is where the asked one is. A port of
// 0 is that of a Cluster that speaks TLS alone.
func address(asked, host string, port int64) string {
	askedHost, askedPort, _ := net.SplitHostPort(asked)
	if !named(host) || isLoopback(host) && !isLoopback(askedHost) {
		host = askedHost
	}
	if port == 0 {
		return net.JoinHostPort(host, askedPort)
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10))
}

// named reports whether host is one. Redis writes "?" for a node without a host name in
// a Cluster that prefers host names.
func named(host string) bool { return host != "" && host != "?" }

// hasHost reports whether an address of a node has a host.
func hasHost(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err != nil || named(host)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// A claim is what the nodes say about the owner of one slot.
type claim struct {
	owner string // its id, or its address if it has none
	epoch int64  // the greatest that a node knows of the owner
	own   bool   // the owner says so itself
	views int    // how many nodes say so
	nodes []redis.ClusterNode
}

func (c claim) compare(d claim) int {
	yes := map[bool]int{true: 1}
	return cmp.Or(cmp.Compare(c.epoch, d.epoch), cmp.Compare(yes[c.own], yes[d.own]), cmp.Compare(c.views, d.views), cmp.Compare(c.owner, d.owner))
}

// merge returns what the nodes say together. For each slot the claim with the greatest
// configuration epoch of its owner counts. An owner that answers, and does not claim
// the slot itself, has given it away.
func merge(answers []nodeAnswer) slotMap {
	answered := map[string]bool{}
	host := ""
	for _, a := range answers {
		answered[a.id], answered[a.asked] = true, true
		host, _, _ = net.SplitHostPort(a.asked)
	}
	m := slotMap{owners: map[string]bool{}, nodes: map[string]bool{}, host: host}
	var edges []int // where the claims may change
	for _, a := range answers {
		m.denied = m.denied || a.denied
		for _, epoch := range a.epochs {
			m.epoch = max(m.epoch, epoch)
		}
		for _, r := range a.ranges {
			edges = append(edges, r.Start, r.End+1)
		}
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	answeredOwners := map[string]bool{}
	for i := range max(len(edges)-1, 0) {
		claims := slices.DeleteFunc(claimsOn(edges[i], answers), func(c claim) bool { return answered[c.owner] && !c.own })
		if len(claims) == 0 {
			continue
		}
		best := slices.MaxFunc(claims, claim.compare)
		if addr := best.nodes[0].Addr; answered[best.owner] || answered[addr] {
			answeredOwners[addr] = true
		}
		m.add(edges[i], edges[i+1]-1, best.nodes)
	}
	m.text = fmt.Sprint(m.slots)
	m.majority = len(answeredOwners) > len(m.owners)/2
	return m
}

// claimsOn returns what the nodes say about one slot.
func claimsOn(slot int, answers []nodeAnswer) (claims []claim) {
	for _, a := range answers {
		i, _ := slices.BinarySearchFunc(a.ranges, slot, func(r redis.ClusterSlot, slot int) int { return cmp.Compare(r.End, slot) })
		if i == len(a.ranges) || slot < a.ranges[i].Start {
			continue
		}
		nodes := a.ranges[i].Nodes
		owner := cmp.Or(nodes[0].ID, nodes[0].Addr)
		claims = claim{owner: owner, epoch: a.epochs[owner], own: owner == a.id, views: 1, nodes: nodes}.addTo(claims)
	}
	return claims
}

// addTo adds what one node says to what others said about the same slot.
func (c claim) addTo(claims []claim) []claim {
	for i, d := range claims {
		if d.owner == c.owner {
			if c.own {
				claims[i].nodes = c.nodes // it knows its replicas best
			}
			claims[i].epoch, claims[i].own, claims[i].views = max(c.epoch, d.epoch), c.own || d.own, d.views+1
			return claims
		}
	}
	return append(claims, c)
}

// add appends the slots from first to last, which are greater than all before.
func (m *slotMap) add(first, last int, nodes []redis.ClusterNode) {
	if n := len(m.slots); n > 0 && m.slots[n-1].End == first-1 && sameNodes(m.slots[n-1].Nodes, nodes) {
		m.slots[n-1].End = last
		return
	}
	m.slots = append(m.slots, redis.ClusterSlot{Start: first, End: last, Nodes: nodes})
	m.owners[nodes[0].Addr] = true
	for _, node := range nodes {
		m.nodes[node.Addr] = true
	}
}

func sameNodes(a, b []redis.ClusterNode) bool {
	return slices.EqualFunc(a, b, func(a, b redis.ClusterNode) bool { return a.Addr == b.Addr && a.ID == b.ID })
}
