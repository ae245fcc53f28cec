package partitions

import (
	"time"

	"github.com/convkit/rediskit/internal/redistest"
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

// short is how long a fault lasts that ends by itself.
const short = 3 * time.Second

// The rows from which the page takes figures for its text.
const (
	splitOff    = "Sentinel: primary cut off from Sentinels and replica, not from clients"
	together    = "Sentinel: primary and clients cut off together for 20 s"
	strictly    = ", min-replicas-to-write 1"
	minReplicas = true
)

var faults = []fault{
	{
		name: splitOff, network: true, rival: true, quick: true,
		inject: func(r *run) *redistest.Process { return primaryCut(r, !minReplicas) },
	},
	{
		name: splitOff + strictly, network: true, rival: true,
		inject: func(r *run) *redistest.Process { return primaryCut(r, minReplicas) },
	},
	{
		name: together, network: true, rival: true,
		inject: func(r *run) *redistest.Process { return minority(r, !minReplicas) },
	},
	{
		name: together + strictly, network: true, rival: true,
		inject: func(r *run) *redistest.Process { return minority(r, minReplicas) },
	},
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
	{
		name: "one address moves, its connections are closed", quick: true,
		inject: func(r *run) *redistest.Process { return addressMoves(r, true) },
	},
	{
		name: "one address moves in silence, the old server stays a primary", silent: true,
		inject: func(r *run) *redistest.Process { return addressMoves(r, false) },
	},
	{name: "a name gets another address, the old server stays a primary", silent: true, inject: nameMoves},
	{name: "one address: the primary is demoted, then the address moves", inject: demoted},
	{name: "clients stopped (SIGSTOP) for 40 s", quick: true, inject: stopped},
}
