// Package breaker is the circuit breaker: calls to a dead Redis fail in microseconds,
// and not after a time-out each.
//
// One Breaker is for one node. Threshold failures in a row open it. While it is open,
// calls are refused and do not use the network. After Pause, one caller pings the
// node. If the node answers, the breaker closes and the command of that caller runs.
// If not, the breaker opens again. A ping decides and not the command of the caller,
// because that command may block (BLPOP), may be slow, or must not be sent to a server
// that may never answer.
package breaker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/attach"
	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/refusal"
)

const (
	// Threshold is the number of failures in a row that open a Breaker.
	Threshold = 5
	// Pause is the time for which an open Breaker refuses before it pings.
	Pause = 250 * time.Millisecond
	// PingTimeout bounds a ping, also if the client has no time-outs of its own. All
	// other callers are refused while the ping is under way.
	PingTimeout = 5 * time.Second
	// Patience is the least time that a call must have waited for its time-out to
	// count against the server. A shorter one is due to the caller's own deadline.
	Patience = 50 * time.Millisecond
)

// mostStale is how many pooled connections a probe tries before it gives up. After a
// crash of the server the pool may hold connections that have ended.
const mostStale = 16

// ErrOpen is the error of a refused call. The call was not sent.
var ErrOpen = redact.New("rediskit: Redis is unavailable: refused without asking, after repeated failures")

// Values of Breaker.state; any other value is the time until which it is open.
const (
	closed  = 0
	probing = -1
)

// A Watch knows which server counts, and dials it.
type Watch interface {
	// Probe dials the server.
	Probe(ctx context.Context) error
	// Refused takes the refusal of a call that began at began.
	Refused(began time.Time, err error)
	// TimedOut takes the news that a call, which began at began, had no reply in time.
	TimedOut(began time.Time)
}

// noWatch is for a client that dials by itself.
type noWatch struct{}

func (noWatch) Probe(context.Context) error { return nil }
func (noWatch) Refused(time.Time, error)    {}
func (noWatch) TimedOut(time.Time)          {}

// Breaker is a redis.Hook. The zero value is not ready: use New.
type Breaker struct {
	watch  Watch
	ping   func(context.Context) error
	opened func()
	resend bool
	calls  *Bulkhead // of the client; nil if there is none
	born   time.Time

	addr    string            // of the node, for onState
	explain func(error) error // see Config
	onState func(NodeState)   // see Config

	state    atomic.Int64
	reason   atomic.Pointer[error] // why it opened last; nil before
	failures atomic.Int32          // in a row, while closed
	closedAt atomic.Int64

	changing sync.Mutex // keeps changes of the state, and what is told of them, in order
}

// Config is how Guard guards a client.
type Config struct {
	// MaxWaiting is the bound of the Bulkhead. Required.
	MaxWaiting int
	// Watch returns the Watch through which a node is dialled. Nil is for a client that
	// dials by itself.
	Watch func(node *redis.Client) Watch
	// Explain returns the error of a failed dial, as a refusal.Misfit if waiting does not
	// help. Nil changes none.
	Explain func(error) error
	// OnState hears each change of the state of each node, in order. It must not block.
	// Nil is for nobody.
	OnState func(NodeState)
}

// Guard puts a Breaker on every node that rdb talks to, and one Bulkhead on all of them.
func Guard(rdb redis.UniversalClient, cfg Config) {
	calls := &Bulkhead{limit: int64(cfg.MaxWaiting)}
	attach.To(rdb, calls)
	all := &nodes{}
	attach.To(rdb, all)
	guard := func(node *redis.Client, opened func(), resend bool) {
		b := New(pinger(node), opened, resend)
		b.calls, b.explain, b.onState, b.addr = calls, cfg.Explain, cfg.OnState, node.Options().Addr
		if cfg.Watch != nil {
			b.watch = cfg.Watch(node)
		}
		all.add(b)
		node.AddHook(b)
	}
	switch rdb := rdb.(type) {
	case *redis.ClusterClient:
		// A replica may have replaced a node that stops answering. So the map of
		// the Cluster is read now, and not at the next periodic reload. A Cluster
		// client sends commands again by itself, above the hooks of the node.
		reload := func() { rdb.ReloadState(context.Background()) }
		rdb.OnNewNode(func(node *redis.Client) { guard(node, reload, false) })
	case *redis.Client:
		guard(rdb, func() {}, true)
	}
}

func pinger(rdb *redis.Client) func(context.Context) error {
	return func(ctx context.Context) error { return rdb.Ping(ctx).Err() }
}

// New returns a closed Breaker. ping pings the node itself. opened is called each time
// that the breaker opens. Both are required. With resend, a command whose connection
// has ended is sent again on another one, up to twice.
func New(ping func(context.Context) error, opened func(), resend bool) *Breaker {
	return &Breaker{watch: noWatch{}, ping: ping, opened: opened, resend: resend, born: time.Now()}
}

// now is monotonic and greater than zero, so that it never equals closed.
func (b *Breaker) now() int64 { return int64(time.Since(b.born)) + 1 }

// admit decides whether a call is sent. It is called only while b is not closed.
func (b *Breaker) admit(ctx context.Context) error {
	if bypassed(ctx) {
		return nil
	}
	until := b.state.Load()
	switch {
	case until == closed:
		return nil
	case until == probing, b.now() < until, !b.change(until, probing, nil):
		return b.refusal()
	}
	return b.probe(ctx)
}

// refusal returns the error of a call that is not sent. What waiting does not mend is
// told to every caller, and not as an outage.
func (b *Breaker) refusal() error {
	if reason := b.reason.Load(); reason != nil && errors.Is(*reason, refusal.ErrMisfit) {
		return *reason
	}
	return ErrOpen
}

// probe pings the node. The caller holds the probing state.
func (b *Breaker) probe(ctx context.Context) error {
	next, reason := b.now(), error(nil) // if the ping decides nothing, the next caller may ping at once
	defer func() { b.change(probing, next, reason) }()

	ctx, cancel := context.WithTimeout(Bypass(ctx), PingTimeout)
	defer cancel()
	start := b.now()
	err := b.reach(ctx)
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
		next, reason = b.now()+int64(Pause), cause(err)
		b.reason.Store(&reason)
		b.opened()
		return b.refusal()
	}
	return err
}

// reach dials the node anew, and then pings it through the pool. The dial shows whether
// the node can be reached at all: each connection in the pool may be a dead one.
func (b *Breaker) reach(ctx context.Context) error {
	if err := b.watch.Probe(ctx); err != nil {
		return b.dialFailed(err)
	}
	return b.ping(ctx)
}

// record counts the result of a call that began at start.
func (b *Breaker) record(ctx context.Context, start int64, err error, attempt int) {
	v := judge(err, b.since(start))
	b.tell(v, start, err)
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
			return // it belongs to an outage that is over, or its caller judges it
		}
		if b.failures.Add(1) >= Threshold && b.change(closed, b.now()+int64(Pause), cause(err)) {
			b.failures.Store(0)
			b.opened()
		}
	}
}

// tell passes on what the Watch must know about the result of a call that began at start.
func (b *Breaker) tell(v verdict, start int64, err error) {
	if v == dead && TimedOut(err) && !dialed(err) {
		b.watch.TimedOut(b.clock(start))
		return
	}
	b.tellRefusal(start, err)
}

// tellRefusal passes on a refusal. A miss is none, and costs next to nothing here.
func (b *Breaker) tellRefusal(start int64, err error) {
	if _, refused := refusal.Of(err); refused && !dialed(err) {
		b.watch.Refused(b.clock(start), err)
	}
}

// clock returns the time of day at which now returned t.
func (b *Breaker) clock(t int64) time.Time { return time.Now().Add(-b.since(t)) }

func (b *Breaker) since(start int64) time.Duration { return time.Duration(b.now() - start) }

type bypassKey struct{}

// Bypass returns a context whose calls, and the handshakes that they need, are
// neither refused nor counted.
func Bypass(ctx context.Context) context.Context {
	return context.WithValue(ctx, bypassKey{}, true)
}

func bypassed(ctx context.Context) bool { return ctx.Value(bypassKey{}) != nil }
