package metrics

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/report"
)

// Pool returns the Source for the connections of rdb. The name is your choice, such as
// "cache" and "state" for two instances. The series have the label lane: "main", or
// "pipeline" for the pool that go-redis keeps for pipelines. Connections of
// subscriptions are in neither. Series without a lane show the calls of the client, if it
// is one that rediskit.Connect returned.
func Pool(name string, rdb redis.UniversalClient) Source { return pool{name, rdb} }

type pool struct {
	name string
	rdb  redis.UniversalClient
}

// Name returns the name that was passed to Pool.
func (p pool) Name() string { return p.name }

type poolStats struct {
	redis.PoolStats
	limit int
}

const (
	poolRequests    = "Requests for a connection: an idle one was there (hit), or one had to be dialled (miss)."
	poolConnections = "Connections of the pool: idle, or in use by a call (used)."
)

var poolSeries = []series[poolStats]{
	counter("rediskit_pool_requests_total", poolRequests, func(s poolStats) uint64 { return uint64(s.Hits) }, "result", "hit"),
	counter("rediskit_pool_requests_total", poolRequests, func(s poolStats) uint64 { return uint64(s.Misses) }, "result", "miss"),
	counter("rediskit_pool_waits_total", "Calls that waited for a connection because all were in use, and got one.", func(s poolStats) uint64 { return uint64(s.WaitCount) }),
	{
		name: "rediskit_pool_wait_seconds_total", help: "Time that those calls waited, in total.", kind: prometheus.CounterValue,
		value: func(s poolStats) float64 { return time.Duration(s.WaitDurationNs).Seconds() },
	},
	counter("rediskit_pool_timeouts_total", "Calls that waited for a connection and got none.", func(s poolStats) uint64 { return uint64(s.Timeouts) }),
	counter("rediskit_pool_closed_total", "Connections that were closed: broken, too old, idle for too long, or more than the pool keeps.", func(s poolStats) uint64 { return uint64(s.StaleConns) }),
	gauge("rediskit_pool_connections", poolConnections, func(s poolStats) uint64 { return uint64(s.IdleConns) }, "state", "idle"),
	gauge("rediskit_pool_connections", poolConnections, func(s poolStats) uint64 { return uint64(s.TotalConns - min(s.TotalConns, s.IdleConns)) }, "state", "used"),
	gauge("rediskit_pool_limit", "Connections that the pool may have; on a Cluster, at each node.", func(s poolStats) uint64 { return uint64(s.limit) }),
}

var callSeries = []series[*breaker.Bulkhead]{
	gauge("rediskit_pool_calls", "Calls under way: on the wire, or waiting for a connection or a pipeline.", (*breaker.Bulkhead).UnderWay),
	gauge("rediskit_pool_calls_limit", "Calls that may be under way: Config.MaxWaiting.", (*breaker.Bulkhead).Limit),
	counter("rediskit_pool_calls_refused_total", "Calls that were refused because too many others were under way.", (*breaker.Bulkhead).Refused),
}

// breakerCounts are numbers of nodes.
type breakerCounts struct {
	states  [3]uint64         // by breaker.State
	reasons map[string]uint64 // by why the breaker opened last
}

const (
	breakersHelp = "Nodes by the state of their circuit breaker. While it is open or probing, calls are refused."
	reasonsHelp  = "Nodes by the reason for which their circuit breaker opened last. A node whose breaker never opened is not counted."
)

// breakerSeries are those of the circuit breakers.
func breakerSeries() (all []series[breakerCounts]) {
	for _, state := range []breaker.State{breaker.Closed, breaker.Open, breaker.Probing} {
		all = append(all, gauge("rediskit_pool_breakers", breakersHelp, func(c breakerCounts) uint64 { return c.states[state] }, "state", state.String()))
	}
	for _, reason := range breaker.Reasons {
		all = append(all, gauge("rediskit_pool_breakers_opened", reasonsHelp, func(c breakerCounts) uint64 { return c.reasons[reason] }, "reason", reason))
	}
	return all
}

// countBreakers counts the nodes that rdb has talked to.
func countBreakers(rdb redis.UniversalClient) breakerCounts {
	counts := breakerCounts{reasons: map[string]uint64{}}
	states, _ := breaker.States(rdb)
	for _, node := range states {
		counts.states[node.State]++
		if node.Reason != nil {
			counts.reasons[breaker.ReasonWord(node.Reason)]++
		}
	}
	return counts
}

// A poolSource reads the stats of both lanes together.
type poolSource struct {
	calls                    *reader[*breaker.Bulkhead] // nil without a Bulkhead
	breakers                 *reader[breakerCounts]     // nil without them
	rdb                      redis.UniversalClient
	main, pipeline           *reader[poolStats]
	mainLimit, pipelineLimit int
}

// source returns p as a source. The error continues "source 1".
func (p pool) source() (source, error) {
	if err := report.Client("metrics", p.rdb); err != nil {
		return nil, fmt.Errorf("is the Pool %q: %w", p.name, err)
	}
	s := &poolSource{rdb: p.rdb}
	switch rdb := p.rdb.(type) {
	case interface{ Options() *redis.Options }:
		s.mainLimit, s.pipelineLimit = rdb.Options().PoolSize, rdb.Options().PipelinePoolSize
	case interface{ Options() *redis.ClusterOptions }:
		s.mainLimit, s.pipelineLimit = rdb.Options().PoolSize, rdb.Options().PipelinePoolSize
	default:
		return nil, fmt.Errorf("is the Pool %q of a %T, whose limits are not known; pass the client that rediskit.Connect returned", p.name, p.rdb)
	}
	if s.pipelineLimit == 0 {
		s.pipelineLimit = redis.DefaultPipelinePoolSize
	}
	if calls := breaker.BulkheadOf(p.rdb); calls != nil {
		s.calls = newReader(func() *breaker.Bulkhead { return calls }, callSeries, "pool", p.name)
	}
	if _, guarded := breaker.States(p.rdb); guarded {
		s.breakers = newReader(func() breakerCounts { return countBreakers(p.rdb) }, breakerSeries(), "pool", p.name)
	}
	s.main = newReader(nil, poolSeries, "pool", p.name, "lane", "main")
	s.pipeline = newReader(nil, poolSeries, "pool", p.name, "lane", "pipeline")
	return s, nil
}

func (s *poolSource) describe(ch chan<- *prometheus.Desc) {
	if s.calls != nil {
		s.calls.describe(ch)
	}
	if s.breakers != nil {
		s.breakers.describe(ch)
	}
	s.main.describe(ch)
	s.pipeline.describe(ch)
}

func (s *poolSource) collect(ch chan<- prometheus.Metric) {
	if s.calls != nil {
		s.calls.collect(ch)
	}
	if s.breakers != nil {
		s.breakers.collect(ch)
	}
	now := s.rdb.PoolStats()
	s.main.send(ch, poolStats{*now, s.mainLimit})
	if now.PipelineStats != nil {
		s.pipeline.send(ch, poolStats{redis.PoolStats(*now.PipelineStats), s.pipelineLimit})
	}
}
