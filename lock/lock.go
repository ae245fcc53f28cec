package lock

import (
	"context"
	_ "embed"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/script"
)

//go:embed fence.lua
var fenceLua string

var fenceScript = script.New(fenceLua)

// The kinds of siblings that a lock keeps beside its key.
const (
	kindFence    = "fence"    // the counter of its fences
	kindReleased = "released" // the channel on which its releases are announced
)

// A Lock is one lock while it is held. It is safe for concurrent use.
type Lock struct {
	locker *Locker
	key    string
	handle *redislock.Lock
	ctx    context.Context
	cancel context.CancelCauseFunc
	taken  instant // just before the request that took it was sent

	releasing sync.Once
	released  error
	fence     atomic.Int64

	mu       sync.Mutex
	timer    *time.Timer
	valid    instant // just before the last request that extended it was sent
	tried    instant // of the last renewal, or when it failed
	pause    time.Duration
	renewing bool
	ended    bool  // no renewal any more, and the context is cancelled
	lost     error // an ErrLost
	over     bool  // Release has been called: it cannot be lost any more
}

// newLock begins to hold what was taken by a request that was sent just after
// start; nil after Close.
func (k *Locker) newLock(parent context.Context, key string, handle *redislock.Lock, start instant) *Lock {
	l := &Lock{
		locker: k, key: key, handle: handle,
		taken: start, valid: start, tried: start, pause: k.cfg.renewEvery(),
	}
	l.ctx, l.cancel = context.WithCancelCause(parent)
	l.mu.Lock() // until it is among those that are held: its end must find it there
	l.timer = time.AfterFunc(l.pause, l.tick)
	k.mu.Lock()
	closed := k.life.Err() != nil
	if !closed {
		k.held[l] = struct{}{}
	}
	k.mu.Unlock()
	l.mu.Unlock()
	if closed {
		l.stop(ErrClosed)
		return nil
	}
	return l
}

// Context is cancelled, with the cause ErrLost, the moment the lock can no
// longer be trusted. Release cancels it too, and Close with the cause
// ErrClosed. It has the values of the context that took the lock, and under
// Do and TryDo also its end.
func (l *Lock) Context() context.Context { return l.ctx }

// Release gives the lock back and wakes who waits for it. It does not end
// with ctx, so that a caller that hung up does not leave others waiting: it
// is bounded by 2 s of its own. All calls return what the first brought.
//
// It returns nil if Redis says that this gave the lock back, and ErrLost if
// the lock was lost before: what was done under it last may not have been
// alone. On any other error nobody knows; the lock ends by its TTL at the
// latest. Where Redis does not answer, the release is sent once more.
//
// One round trip: a pipeline of a script of GET and DEL, and a PUBLISH. A
// channel that an ACL refuses does not make it fail: Config.OnError is told,
// and waiters see the release within Config.Poll.
func (l *Lock) Release(ctx context.Context) error {
	l.releasing.Do(func() { l.released = l.release(ctx) })
	return l.released
}

func (l *Lock) release(ctx context.Context) error {
	k := l.locker
	if k.begin() {
		defer k.running.Done()
	}
	lost := l.finish()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachedTimeout)
	defer cancel()
	var err error
	if !errors.Is(lost, errGone) {
		err = l.giveBack(ctx)
	}
	gone := errors.Is(err, redislock.ErrLockNotHeld)
	if err != nil && !gone {
		err = k.report.Redis(context.WithoutCancel(ctx), "release", err) // its end is not why
	}
	switch {
	case lost != nil:
		if err != nil && !gone {
			k.report.Tell(ctx, err)
		}
		return k.report.Fail("release", lost)
	case gone:
		k.stats.lost.Add(1)
		return k.report.Fail("release", errGone)
	case err != nil:
		return err
	}
	k.stats.released.Add(1)
	return nil
}

// giveBack deletes the key, if it is still ours, and announces it.
func (l *Lock) giveBack(ctx context.Context) error {
	k := l.locker
	publish := redis.NewIntCmd(ctx, "publish", keys.Sibling(kindReleased, l.key), "")
	handle := l.through(newTrip(k.rdb, l.key, publish))
	err := handle.Release(ctx)
	if err != nil && !errors.Is(err, redislock.ErrLockNotHeld) {
		again := handle.Release(ctx)
		// Nothing is left either because the first copy ran or because the lock
		// was lost before: then the first error stands.
		if !errors.Is(again, redislock.ErrLockNotHeld) || !script.MayHaveRun(err) {
			err = again
		}
	}
	if err == nil && publish.Err() != nil {
		k.report.Tell(ctx, k.report.Redis(ctx, "announce a release", publish.Err()))
	}
	return err
}

// through is the lock's handle that sends by t.
func (l *Lock) through(t *trip) *redislock.Lock {
	handle := *l.handle
	handle.Client = redislock.New(t)
	return &handle
}

// Fence returns a number that is greater than every fence of every earlier
// holder of this lock: the proof, for a store that remembers the greatest one
// it has seen, of who came later. It is minted by Redis on the first call,
// only while the lock is held, and then remembered. ErrLost means that it was
// not.
//
// The number is max(previous + 1, the server's time in microseconds), so it
// keeps rising when Redis has lost the previous one, unless the server's
// clock steps back as well. The previous one is remembered for a day longer
// than MaxHold.
//
// One round trip on the first call: a script of GET, TIME and SET PX. On a
// Cluster, Redis refuses it with TRYAGAIN while the lock's slot is moving.
func (l *Lock) Fence(ctx context.Context) (int64, error) {
	k := l.locker
	if err := l.check(); err != nil {
		return 0, k.report.Fail("fence", err)
	}
	if fence := l.fence.Load(); fence != 0 {
		return fence, nil
	}
	reply := script.Run(ctx, k.rdb, script.Retried, script.Call{ // minting twice skips a number
		Script: fenceScript,
		Keys:   []string{l.key, keys.Sibling(kindFence, l.key)},
		Args:   []any{l.handle.Token(), fenceTTL.Milliseconds() + k.cfg.MaxHold.Milliseconds()},
	})[0]
	text, err := reply.Text()
	switch {
	case errors.Is(err, redis.Nil):
		l.mu.Lock()
		l.lose(errGone)
		l.mu.Unlock()
		return 0, k.report.Fail("fence", errGone)
	case err != nil:
		return 0, k.report.Redis(ctx, "fence", err)
	}
	fence, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, k.report.Redis(ctx, "fence", err)
	}
	l.fence.CompareAndSwap(0, fence) // concurrent calls agree on one
	if err := l.check(); err != nil {
		return 0, k.report.Fail("fence", err)
	}
	return l.fence.Load(), nil
}

// fenceTTL is what a fence is remembered for beyond MaxHold.
const fenceTTL = 24 * time.Hour

// check says why the lock can no longer be trusted, if so.
func (l *Lock) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.locker
	if k.clock().since(l.valid) >= k.cfg.validFor() {
		l.lose(errExpired)
	}
	return l.lost
}

// finish ends the lock for its Release and says whether it was lost before.
func (l *Lock) finish() error {
	lost := l.check()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.end(nil)
	return lost
}

// stop ends renewals and cancels the context.
func (l *Lock) stop(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end(cause)
}

// lose ends the lock because it can no longer be trusted. It needs l.mu.
func (l *Lock) lose(why error) {
	if l.lost != nil || l.over {
		return
	}
	l.lost = why
	l.locker.stats.lost.Add(1)
	if errors.Is(why, ErrMaxHold) {
		l.locker.stats.maxHolds.Add(1)
	}
	l.end(why)
}

// end needs l.mu.
func (l *Lock) end(cause error) {
	l.ended = true
	l.timer.Stop()
	l.cancel(cause)
	l.locker.forget(l)
}
