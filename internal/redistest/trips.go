package redistest

import (
	"context"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

// A Counter counts the round trips of a client to each node.
type Counter struct {
	mu    sync.Mutex
	trips map[string]int // round trips by node address
}

// Trips returns a Counter of the round trips of rdb from now on: one for a command, and one
// for a pipeline or transaction on each node that it is sent to. These do not count: the
// handshake of a new connection, the CLUSTER and COMMAND requests by which a ClusterClient
// learns the topology, and PubSub. A retry inside go-redis counts with its command. Call
// Trips before the first command of a ClusterClient: it counts only for nodes that the
// client does not know yet.
func Trips(rdb redis.UniversalClient) *Counter {
	c := &Counter{trips: map[string]int{}}
	watch := func(node *redis.Client) { node.AddHook(roundTripHook{c, node.Options().Addr}) }
	switch rdb := rdb.(type) {
	case *redis.Client:
		watch(rdb)
	case *redis.ClusterClient:
		rdb.OnNewNode(watch)
	default:
		panic("redistest: Trips knows *redis.Client and *redis.ClusterClient only")
	}
	return c
}

// Take returns the count since the last Take, over all nodes.
func (c *Counter) Take() int {
	sum := 0
	for _, n := range c.TakePerNode() {
		sum += n
	}
	return sum
}

// TakePerNode returns the count of Take by the address of each node.
func (c *Counter) TakePerNode() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	trips := c.trips
	c.trips = map[string]int{}
	return trips
}

type roundTripHook struct {
	counter *Counter
	node    string
}

// counted marks the context of a command that is counted. go-redis dials and sends the
// handshake within that command, so any other command with the mark is a handshake.
type counted struct{}

func (h roundTripHook) count(ctx context.Context) context.Context {
	if ctx.Value(counted{}) != nil {
		return ctx
	}
	h.counter.mu.Lock()
	defer h.counter.mu.Unlock()
	h.counter.trips[h.node]++
	return context.WithValue(ctx, counted{}, true)
}

func (h roundTripHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		return next(ctx, network, addr)
	}
}

func (h roundTripHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name == "cluster" || name == "command" {
			return next(context.WithValue(ctx, counted{}, true), cmd)
		}
		return next(h.count(ctx), cmd)
	}
}

func (h roundTripHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return next(h.count(ctx), cmds)
	}
}
