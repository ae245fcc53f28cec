package durability

import "github.com/convkit/rediskit/internal/redistest"

// A fault is a column of the table.
type fault struct {
	name     string // a short one, for the head of the column
	meaning  string
	inject   func(r *run) (survivor *redistest.Process)
	network  bool // it cuts a network, which needs root
	settings []setting
	quick    []setting // those of make test
	keeps    []setting // those that lose nothing that was acknowledged, by what Redis promises
	loses    []setting // those that lose something, or the test sees no loss at all
}

var replicated = []setting{copied, confirmed, strict, both}

var faults = []fault{
	{
		name:     "killed",
		meaning:  "The server is killed (SIGKILL) and started again at once on what it had written. Where it has replicas, it is the primary, and it is back before the Sentinels notice.",
		inject:   killed,
		settings: []setting{none, snapshot, everysec, always, copied, confirmed, saved},
		quick:    []setting{none, always},
		keeps:    []setting{always},
		loses:    []setting{none},
	},
	{
		name:     "power loss",
		meaning:  "All machines lose power at once and start again with what is on their disks.",
		inject:   powerLoss,
		settings: []setting{none, snapshot, everysec, always, copied, confirmed, saved},
		keeps:    []setting{always},
		loses:    []setting{none},
	},
	{
		name:    "host vanishes",
		meaning: "Sentinel: the primary's host vanishes, and a replica is promoted.",
		network: true, inject: vanish, settings: replicated,
	},
	{
		name:    "primary cut off",
		meaning: "Sentinel: the primary is cut off from the Sentinels and its replicas, but not from its clients, until 4 s after another server was promoted. Then it becomes a replica of that one.",
		network: true, inject: cutOff, settings: replicated,
	},
	{
		name:    "cut off with a client",
		meaning: "Sentinel: as before, but one of two clients is cut off together with the primary and reaches nothing else.",
		network: true, inject: cutOffWithClient, settings: replicated,
	},
	{
		name:    "Cluster: host vanishes",
		meaning: "The host of a Cluster's primary vanishes, and a replica is promoted.",
		network: true, inject: clusterVanish, settings: replicated,
	},
	{
		name:    "Cluster: cut off with a client",
		meaning: "A Cluster's primary and one of two clients are cut off from everything else, until 4 s after a replica was promoted.",
		network: true, inject: clusterCutOff, settings: replicated,
	},
	{
		name:    "replicas lag",
		meaning: "Sentinel: nothing reaches either replica for 2 s, then the primary's host vanishes.",
		network: true, inject: allLag, settings: replicated,
	},
	{
		name:    "one replica lags",
		meaning: "Sentinel: nothing reaches one replica for 2 s, then the hosts of the primary and of the other replica vanish together. The replica that lags is promoted.",
		network: true, inject: oneLags, settings: []setting{copied, confirmed, strict, both, unanimous},
		keeps: []setting{unanimous},
		loses: []setting{copied, confirmed},
	},
}
