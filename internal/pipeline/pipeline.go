// Package pipeline sends the commands of many callers in few round trips.
//
// A Combiner stands where every caller would call Process of a go-redis client.
// While only a few calls are under way it does just that. More of them queue,
// and at most two pipelines at a time set off, each with whatever is queued. So
// nobody waits for company, and the busier it gets, the more share a trip.
//
// What a call may count on:
//
//   - It ends when its ctx does. A command that is still queued then is never
//     sent. One that was sent goes on without its caller.
//   - Each command has its own outcome, that of the same client's Process but
//     for what a connection's end does: it fails every command that was not
//     answered. A pipeline with a command that refuses to be sent again
//     (script.NoRetry) is never sent again.
//   - Large replies do not hold up small ones: see sizes.
//   - On a Cluster a slow master holds up nobody's commands for another one.
//
// A pipeline goes through Pipeline() of the client, and so through its hooks, a
// circuit breaker among them, but with a context of its own: it belongs to
// several callers. Its goroutine ends with it, at the client's own time-outs at
// the latest; a Combiner with nothing under way owns none and needs no Close.
package pipeline

import (
	"context"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

// A Combiner sends commands of one kind over one client: those that may be
// sent again, or those that may not. Make it with For.
type Combiner struct {
	rdb     redis.UniversalClient
	lane    *lane // nil on a Cluster, and if nothing shall be combined
	cluster *redis.ClusterClient
	masters sync.Map // on a Cluster: from the address of a master to its *lane
	sizes   *sizes
}

// For returns a Combiner over rdb. With direct it combines nothing.
func For(rdb redis.UniversalClient, direct bool) *Combiner {
	c := &Combiner{rdb: rdb}
	if direct {
		return c
	}
	c.sizes = newSizes()
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		c.cluster = cluster
	} else {
		c.lane = c.newLane()
	}
	return c
}

// Process sends cmds, all of the cluster slot of key, in that order and in one
// round trip. What became of each is in the command.
//
// It returns an error only if ctx has ended first. The commands are the
// pipeline's then, and must not be looked at. Their arguments may be read for
// as long as the client's time-outs last, so nothing in them may be used anew.
func (c *Combiner) Process(ctx context.Context, key string, cmds ...redis.Cmder) error {
	l := c.laneOf(ctx, key)
	if l == nil {
		send(ctx, c.rdb, cmds)
		return nil
	}
	if !c.sizes.small(key, cmds) {
		send(ctx, c.rdb, cmds)
	} else if err := l.process(ctx, cmds); err != nil {
		return err
	}
	c.sizes.note(key, cmds)
	return nil
}

// laneOf is the lane of key's master, or nil to send without one.
func (c *Combiner) laneOf(ctx context.Context, key string) *lane {
	if c.cluster == nil {
		return c.lane
	}
	master, err := c.cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil // sending it tells why
	}
	addr := master.Options().Addr
	l, ok := c.masters.Load(addr)
	if !ok {
		l, _ = c.masters.LoadOrStore(addr, c.newLane())
	}
	return l.(*lane)
}

func (c *Combiner) newLane() *lane { return &lane{rdb: c.rdb, sizes: c.sizes} }

// send sends the commands of one call by themselves.
func send(ctx context.Context, rdb redis.UniversalClient, cmds []redis.Cmder) {
	if len(cmds) == 1 {
		_ = rdb.Process(ctx, cmds[0]) // the command has its outcome
		return
	}
	sendAll(ctx, rdb, slices.Clone(cmds)) // cmds itself is on the caller's stack
}

// sendAll sends commands in one pipeline.
func sendAll(ctx context.Context, rdb redis.UniversalClient, cmds []redis.Cmder) {
	pipe := rdb.Pipeline()
	_ = pipe.BatchProcess(ctx, cmds...)
	_, err := pipe.Exec(ctx)
	if err == nil {
		return
	}
	for _, cmd := range cmds {
		if cmd.Err() != nil {
			return
		}
	}
	for _, cmd := range cmds { // a hook has refused, and told the client alone
		cmd.SetErr(err)
	}
}
