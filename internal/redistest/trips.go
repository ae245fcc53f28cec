package redistest

import (
	"context"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Counter counts a client's round trips, per node.
type Counter struct {
	mu    sync.Mutex
	trips map[string]int // by node address
}

// Trips counts the round trips of rdb from now on: one for a command, one for
// a pipeline or transaction on each node that it touches. The handshake of a
// new connection does not count, nor do the CLUSTER and COMMAND requests by
// which a ClusterClient learns the topology, nor PubSub. A retry inside
// go-redis counts with its command. Call it before the first command of a
// ClusterClient: it sees only nodes that the client has not met.
func Trips(rdb redis.UniversalClient) *Counter {
	c := &Counter{trips: map[string]int{}}
	watch := func(node *redis.Client) { node.AddHook(tripHook{c, node.Options().Addr}) }
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

// TakePerNode is Take for each node that was visited, by its address.
func (c *Counter) TakePerNode() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	trips := c.trips
	c.trips = map[string]int{}
	return trips
}

type tripHook struct {
	counter *Counter
	node    string
}

// travelling marks the context of a counted command. go-redis dials and greets
// within that command, so whatever else runs under the mark is a handshake.
type travelling struct{}

func (h tripHook) depart(ctx context.Context) context.Context {
	if ctx.Value(travelling{}) != nil {
		return ctx
	}
	h.counter.mu.Lock()
	defer h.counter.mu.Unlock()
	h.counter.trips[h.node]++
	return context.WithValue(ctx, travelling{}, true)
}

func (h tripHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		return next(ctx, network, addr)
	}
}

func (h tripHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name == "cluster" || name == "command" {
			return next(context.WithValue(ctx, travelling{}, true), cmd)
		}
		return next(h.depart(ctx), cmd)
	}
}

func (h tripHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return next(h.depart(ctx), cmds)
	}
}
