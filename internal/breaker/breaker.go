// Package breaker makes a dead Redis fail in microseconds instead of time-outs.
//
// One Breaker watches one node. Threshold failures in a row open it; while it is
// open, calls are refused without touching the network. After Pause, one caller
// pings the node: an answer closes the breaker and the caller's own command runs,
// silence opens it again. A ping of ours rather than the caller's command decides,
// because that command may block (BLPOP), be slow, or be one that must not be sent
// to a server that may never answer.
package breaker

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
)

const (
	// Threshold is the number of failures in a row that open a Breaker.
	Threshold = 5
	// Pause is the time for which an open Breaker refuses before it pings.
	Pause = 250 * time.Millisecond
	// PingTimeout bounds a ping, also where the client has no time-outs of its own: as
	// long as it lasts, everybody else is refused.
	PingTimeout = 5 * time.Second
	// Patience is the least time a call must have waited before its time-out
	// speaks against the server rather than against the caller's own deadline.
	Patience = 50 * time.Millisecond
)

// mostStale is how many dead connections, left in the pool by a server that
// crashed, a probe goes through in search of a new one.
const mostStale = 16

// ErrOpen is what a refused call gets.
var ErrOpen = redact.New("rediskit: Redis is unavailable: refused without asking, after repeated failures")

// Values of Breaker.state; any other value is the time until which it is open.
const (
	closed  = 0
	probing = -1
)

// Breaker is a redis.Hook. The zero value is not ready: use New.
type Breaker struct {
	ping   func(context.Context) error
	opened func()
	resend bool
	born   time.Time

	state    atomic.Int64
	failures atomic.Int32 // in a row, while closed
	closedAt atomic.Int64
}

// Guard puts a Breaker on every node that rdb talks to.
func Guard(rdb redis.UniversalClient) {
	switch rdb := rdb.(type) {
	case *redis.ClusterClient:
		// A node that stops answering may have been replaced by its replica: look
		// again now rather than at the next periodic reload. A Cluster client
		// sends again by itself, above the node's hooks.
		reload := func() { rdb.ReloadState(context.Background()) }
		rdb.OnNewNode(func(node *redis.Client) {
			node.AddHook(New(pinger(node), reload, false))
		})
	case *redis.Client:
		rdb.AddHook(New(pinger(rdb), func() {}, true))
	}
}

func pinger(rdb *redis.Client) func(context.Context) error {
	return func(ctx context.Context) error { return rdb.Ping(ctx).Err() }
}

// New returns a closed Breaker. ping asks the node itself and opened is told each
// time that the breaker opens; neither may be nil. With resend, a command whose
// connection turned out to be dead is sent once more on another one.
func New(ping func(context.Context) error, opened func(), resend bool) *Breaker {
	return &Breaker{ping: ping, opened: opened, resend: resend, born: time.Now()}
}

// now is monotonic and above zero, so that it is never mistaken for closed.
func (b *Breaker) now() int64 { return int64(time.Since(b.born)) + 1 }

// admit decides whether a call may go out. It is called only while not closed.
func (b *Breaker) admit(ctx context.Context) error {
	if bypassed(ctx) {
		return nil
	}
	until := b.state.Load()
	switch {
	case until == closed:
		return nil
	case until == probing, b.now() < until, !b.state.CompareAndSwap(until, probing):
		return ErrOpen
	}
	return b.probe(ctx)
}

// probe pings the node. The caller holds the probing state.
func (b *Breaker) probe(ctx context.Context) error {
	next := b.now() // unless the ping tells more, the next caller may try at once
	defer func() { b.state.Store(next) }()

	ctx, cancel := context.WithTimeout(Bypass(ctx), PingTimeout)
	defer cancel()
	start := b.now()
	err := b.ping(ctx)
	for stale := 1; stale < mostStale && judge(err, 0) == hungUp; stale++ {
		err = b.ping(ctx)
	}
	switch judge(err, b.since(start)) {
	case alive:
		b.failures.Store(0)
		b.closedAt.Store(b.now())
		next = closed
		return nil
	case dead, hungUp:
		next = b.now() + int64(Pause)
		b.opened()
		return ErrOpen
	}
	return err
}

// record takes note of how a call that began at start ended.
func (b *Breaker) record(ctx context.Context, start int64, err error, attempt int) {
	v := judge(err, b.since(start))
	if v == hungUp && attempt == resends {
		v = dead
	}
	switch v {
	case alive:
		if b.failures.Load() != 0 {
			b.failures.Store(0)
		}
	case dead:
		if start < b.closedAt.Load() || bypassed(ctx) {
			return // of the outage that is over, or judged by whoever bypassed
		}
		if b.failures.Add(1) >= Threshold && b.state.CompareAndSwap(closed, b.now()+int64(Pause)) {
			b.failures.Store(0)
			b.opened()
		}
	}
}

func (b *Breaker) since(start int64) time.Duration { return time.Duration(b.now() - start) }

type bypassKey struct{}

// Bypass returns a context whose calls, and the handshakes that they need, are
// neither refused nor counted.
func Bypass(ctx context.Context) context.Context {
	return context.WithValue(ctx, bypassKey{}, true)
}

func bypassed(ctx context.Context) bool { return ctx.Value(bypassKey{}) != nil }
