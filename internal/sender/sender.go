// Package sender is a command's way to Redis and back. Every command of the library
// goes through it: no other package calls Process or Pipeline of go-redis.
//
// What happens to a command, from call to reply:
//
//  1. Its Class says whether it may run twice and whether it shares round trips.
//  2. If it shares, and other calls are under way, it waits in a lane and goes out
//     in one pipeline with theirs (lane.go). Else it goes out by itself.
//  3. The client sends it, through the hooks of the client: the circuit breaker is
//     one of them. A Cluster client finds the primary of the command's key and
//     follows MOVED and ASK. Commands without a key, such as WAIT and PUBLISH, have
//     no such place: the class Pinned sends them, and all that goes with them, to
//     the primary of a given key, and follows MOVED and ASK for all of them.
//  4. If the reply is lost, the client sends again only what may run twice. A script
//     that the server does not know did not run: it is sent with its source
//     (script.go).
//  5. The reply, or the error, is in the command. OutcomeOf says what an error
//     means: not sent, answered, or it may have run (outcome.go).
package sender

import (
	"context"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Class says how commands are delivered. Each class that shares round trips has lanes of
// its own: what may run twice never shares a pipeline with what must not, since go-redis
// sends all commands of a pipeline again or none, and what others wait for does not wait
// behind what may have to wait anyway.
type Class int

const (
	// Read is for what may run twice and changes nothing.
	Read Class = iota
	// Charge is for what must run once at most, and decides about a request.
	Charge
	// Repeatable is for changes that may run twice.
	Repeatable
	// Change is for changes that must run once at most.
	Change
	// Take is for a Change that asks for what another caller may hold.
	Take
	// Keep is for a Change of what this caller holds, such as giving it back.
	Keep
	// Pinned is for a Change followed by commands without a key, such as WAIT: all of
	// them go to the primary of one key, in their order and on one connection. It shares
	// no round trip: WAIT holds up its connection.
	Pinned

	classes = iota
)

// once reports whether commands of the class are never sent again.
func (c Class) once() bool { return c != Read && c != Repeatable }

// shares reports whether commands of the class share round trips.
func (c Class) shares() bool { return c != Pinned }

// A Sender sends the commands of one object over one client. It is safe for
// concurrent use, owns no goroutine while nothing is under way, and needs no Close.
type Sender struct {
	rdb     redis.UniversalClient
	cluster *redis.ClusterClient // nil unless rdb is one
	lanes   [classes]*lanes      // nil for classes that do not share
	trips   *trips

	// For Run, while a server does not know a script.
	teaching chan struct{} // holds a token while somebody sends a source
	taught   atomic.Uint64 // how often one was sent
}

// New returns a Sender over rdb. With direct no command shares its round trip.
func New(rdb redis.UniversalClient, direct bool) *Sender {
	s := &Sender{rdb: rdb, trips: newTrips(), teaching: make(chan struct{}, 1)}
	s.cluster, _ = rdb.(*redis.ClusterClient)
	for class := range Class(classes) {
		if class.shares() && !direct {
			s.lanes[class] = newLanes(rdb, class)
		}
	}
	return s
}

// Do sends cmds, all of the cluster slot of key, in that order and in one round
// trip. Each command then has its own outcome.
//
// Do returns an error only if ctx ended while the commands shared a round trip. The
// commands are not the caller's any more then: do not look at them. Their arguments
// may be read for as long as the client's time-outs last, so do not reuse them.
func (s *Sender) Do(ctx context.Context, class Class, key string, cmds ...redis.Cmder) error {
	switch {
	case s.lanes[class] != nil:
		return s.lanes[class].do(ctx, key, cmds)
	case class == Pinned && s.cluster != nil:
		s.sendPinned(ctx, key, cmds)
	default:
		Send(ctx, s.rdb, class, cmds...)
	}
	return nil
}

// Send sends cmds over a client, several of them in one pipeline, and shares
// nothing. Each command then has its own outcome.
func Send(ctx context.Context, rdb redis.UniversalClient, class Class, cmds ...redis.Cmder) {
	cluster, _ := rdb.(*redis.ClusterClient)
	if cluster != nil {
		// A client that has a map once always has one, and answers this from it. Without
		// a map the command would fail too, perhaps with redis.Nil.
		if _, err := PrimaryOf(ctx, rdb, "any"); err != nil {
			fail(cmds, err)
			return
		}
	}
	switch len(cmds) {
	case 0:
	case 1:
		_ = rdb.Process(ctx, class.deliver(cmds[0])) // the command has its outcome
	default:
		batch := make([]redis.Cmder, len(cmds)) // a hook may keep it
		for i, cmd := range cmds {
			batch[i] = class.deliver(cmd)
		}
		exec(ctx, rdb, batch)
	}
	if cluster != nil && lost(cmds) {
		// Another primary may have taken over. go-redis would look at the next periodic
		// reload of its map.
		cluster.ReloadState(ctx)
	}
}

// lost reports whether a command was not answered.
func lost(cmds []redis.Cmder) bool {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && OutcomeOf(err) != Answered {
			return true
		}
	}
	return false
}

// exec sends commands in one pipeline.
func exec(ctx context.Context, rdb redis.UniversalClient, batch []redis.Cmder) {
	pipe := rdb.Pipeline()
	_ = pipe.BatchProcess(ctx, batch...)
	if _, err := pipe.Exec(ctx); err != nil && firstError(batch) == nil {
		fail(batch, err) // a hook refused the pipeline and set no command's error
	}
}

// deliver returns cmd as the class wants it sent.
func (c Class) deliver(cmd redis.Cmder) redis.Cmder {
	if !c.once() {
		return cmd
	}
	if script, ok := cmd.(*redis.Cmd); ok {
		return onceScript{script} // costs no allocation
	}
	return once{cmd}
}

// once is a command that go-redis must not send again. By default it does so after
// a lost reply, when the command may have run.
type once struct{ redis.Cmder }

func (once) NoRetry() bool { return true }

type onceScript struct{ *redis.Cmd }

func (onceScript) NoRetry() bool { return true }

func firstError(cmds []redis.Cmder) error {
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return err
		}
	}
	return nil
}

func fail(cmds []redis.Cmder, err error) {
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
}
