package lock

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/primary"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/sender"
	"github.com/convkit/rediskit/internal/subscriber"
)

// A Locker takes locks, each under the id of what it protects. It is safe for concurrent
// use. Make it with New, once per kind of thing, and Close it before its client.
type Locker struct {
	rdb     redis.UniversalClient
	sender  *sender.Sender
	cfg     Config
	pattern keys.Pattern
	report  *report.Reporter
	stats   counters
	clock   clock

	obtain *redislock.Client // takes locks, without extra commands
	named  string            // what follows the token in their values

	life     *life.Life
	unwatch  func()        // ends the calls of hurry
	cleanups chan struct{} // a token for each abandoned request that is cleaned up

	mu       sync.Mutex
	held     map[*Lock]struct{}
	waiting  map[string]*waiters    // by key
	releases *subscriber.Subscriber // receives announcements; nil while there are no waiters
	idle     *time.Timer            // closes it
}

// New returns a Locker over rdb: a client of a single server, of Sentinel or of a Cluster.
// It sends nothing. A setting that is missing or impossible is an error that names the
// field. A client that rediskit.Connect did not make should have ContextTimeoutEnabled set,
// or calls outlast their contexts. A *redis.Ring is refused.
func New(rdb redis.UniversalClient, cfg Config) (*Locker, error) {
	if err := report.Client("lock", rdb); err != nil {
		return nil, err
	}
	cfg, pattern, err := cfg.complete(rdb)
	if err != nil {
		return nil, err
	}
	k := &Locker{
		rdb: rdb, sender: sender.New(rdb, false), cfg: cfg, pattern: pattern,
		report:   report.New("lock", cfg.Name, cfg.OnError),
		clock:    systemClock(),
		named:    cfg.named(),
		cleanups: make(chan struct{}, maxCleanups),
		held:     map[*Lock]struct{}{},
		waiting:  map[string]*waiters{},
	}
	k.obtain = k.obtainer(nil)
	k.life = life.New(k.panicked)
	k.unwatch = primary.OnTerm(rdb, func() { k.life.Go(context.Background(), k.hurry) })
	return k, nil
}

// hurry renews all locks at once, because another server counts now. It may not have
// them: their holders learn it now, and not when the next renewal is due.
func (k *Locker) hurry(context.Context) {
	k.mu.Lock()
	held := slices.Collect(maps.Keys(k.held))
	k.mu.Unlock()
	for _, l := range held {
		l.hurry()
	}
}

// panicked reports a panic in a goroutine of the Locker.
func (k *Locker) panicked(err error) {
	k.report.OnError(context.Background(), k.report.Fail("run in the background", err))
}

// Try takes the lock of id, or returns ErrHeld at once. The lock outlives ctx: it is held,
// and renewed, until its Release or Config.MaxHold.
//
// On any other error the caller does not hold the lock. If Redis did not answer, the request
// may have taken it nevertheless; it is then given back in the background, or ends by its
// TTL at the latest.
//
// One round trip, never sent twice: a script of SET NX PX, and of GET and PTTL if another
// holder has the lock; PEXPIRE if that lock would last for longer than its TTL.
func (k *Locker) Try(ctx context.Context, id string) (*Lock, error) {
	return k.try(ctx, context.WithoutCancel(ctx), "try", id)
}

// Acquire takes the lock of id, and waits for it until ctx ends. The error is then ctx's,
// and also ErrHeld or the last reply of Redis. The lock outlives ctx, as that of Try does.
//
// It waits while Redis does not answer, and while it refuses for a reason that passes:
// NOREPLICAS, MISCONF, OOM, READONLY, LOADING, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, BUSY, no
// free client slot. Config.OnError receives each failure. A reply that waiting does not
// change, such as a missing permission, ends it. A Release anywhere in the
// fleet wakes waiters, in no promised order. A lock that ends without a Release, by its TTL
// or by a DEL, is seen within Config.Poll.
//
// One round trip if the lock is free. While it is held, each process has one subscription
// for all its waiters, and one waiter for each id looks, at least every Config.Poll and at
// each announcement, in one round trip: the script and PTTL.
func (k *Locker) Acquire(ctx context.Context, id string) (*Lock, error) {
	return k.acquire(ctx, context.WithoutCancel(ctx), "acquire", id)
}

// Do runs fn while it holds the lock of id, for which it waits as Acquire does. fn runs in
// the caller's goroutine. Its context ends with ctx, and with the cause ErrLost the moment
// the lock can no longer be trusted: fn must stop then. Do returns when fn has returned and
// the lock is given back. A panic of fn goes on after that.
//
// If the lock was lost, the error is ErrLost joined with fn's, even if fn returned nil:
// another holder may have been there when the last work was done. Otherwise it is fn's own.
// Config.OnError receives the error of a failed release; other callers may then have to
// wait for the TTL.
func (k *Locker) Do(ctx context.Context, id string, fn func(context.Context, *Lock) error) error {
	if fn == nil {
		return k.report.Fail("do", errNoFunction)
	}
	l, err := k.acquire(ctx, ctx, "do", id)
	if err != nil {
		return err
	}
	return k.hold("do", l, fn)
}

// TryDo is Do that returns ErrHeld instead of waiting.
func (k *Locker) TryDo(ctx context.Context, id string, fn func(context.Context, *Lock) error) error {
	if fn == nil {
		return k.report.Fail("try do", errNoFunction)
	}
	l, err := k.try(ctx, ctx, "try do", id)
	if err != nil {
		return err
	}
	return k.hold("try do", l, fn)
}

// Stats returns what the Locker has counted so far.
func (k *Locker) Stats() Stats {
	k.mu.Lock()
	holding := len(k.held)
	k.mu.Unlock()
	return k.stats.snapshot(holding, k.report.RedisErrors())
}

// Name is Config.Name.
func (k *Locker) Name() string { return k.cfg.Name }

// Close ends the Locker. Waiters get ErrClosed, as does every later call. The contexts of
// locks that are still held are cancelled with the cause ErrClosed and their renewals end,
// but their keys stay: only their holders know when they have stopped. Close waits for
// functions under Do and TryDo to return and give their locks back, for as long as the locks
// last without renewal; if one goes on, Close returns an error that says so. A Release may
// still be called later, while the client is open; otherwise the TTL ends the lock. Close
// may be called more than once.
func (k *Locker) Close() error {
	k.mu.Lock()
	k.life.End(ErrClosed)
	held := slices.Collect(maps.Keys(k.held))
	sub := k.releases
	k.mu.Unlock()
	k.unwatch()
	for _, l := range held {
		l.close()
	}
	var err error
	if sub != nil {
		err = sub.Close()
	}
	limit := k.cfg.TTL + detachedTimeout // for the holder, and to give its lock back
	switch {
	case !k.life.Wait(limit):
		return fmt.Errorf("lock: close %s: a holder still runs after %v; let it end when its context does", k.cfg.Name, limit)
	case err != nil:
		return k.report.Fail("close", err)
	}
	return nil
}

func (k *Locker) try(ctx, parent context.Context, op, id string) (*Lock, error) {
	if err := k.ready(ctx, op, id); err != nil {
		return nil, err
	}
	l, err := k.take(ctx, parent, op, k.pattern.Key(id), nil)
	if errors.Is(err, ErrHeld) {
		k.stats.refused.Add(1)
	}
	return l, err
}

func (k *Locker) acquire(ctx, parent context.Context, op, id string) (*Lock, error) {
	if err := k.ready(ctx, op, id); err != nil {
		return nil, err
	}
	key := k.pattern.Key(id)
	l, err := k.take(ctx, parent, op, key, nil)
	switch {
	case err == nil || !worthWaiting(err):
		return l, err
	case ctx.Err() == nil:
		return k.wait(ctx, parent, op, key, err)
	}
	return nil, k.waited(ctx, op, err)
}

// ready returns why a call may not go ahead, if so.
func (k *Locker) ready(ctx context.Context, op, id string) error {
	switch {
	case k.life.Ended():
		return k.report.Fail(op, ErrClosed)
	case id == "":
		return k.report.Fail(op, ErrEmptyID)
	case ctx.Err() != nil:
		return k.report.Fail(op, ctx.Err())
	}
	return nil
}

// hold runs fn under l and gives l back.
func (k *Locker) hold(op string, l *Lock, fn func(context.Context, *Lock) error) (err error) {
	ended := !k.life.Begin()
	if !ended {
		defer k.life.Done()
	}
	defer func() { // also when fn panics or ends its goroutine
		released := l.Release(l.ctx)
		switch {
		case errors.Is(released, ErrLost):
			err = errors.Join(released, err)
		case released != nil:
			k.report.OnError(l.ctx, released)
		}
	}()
	if ended {
		return k.report.Fail(op, ErrClosed)
	}
	return fn(l.ctx, l)
}

// forget leaves l to its holder. Its caller may hold l.mu, which is locked before k.mu.
func (k *Locker) forget(l *Lock) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.held, l)
}
