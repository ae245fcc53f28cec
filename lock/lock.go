package lock

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/sender"
)

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

	releasing sync.Once
	released  error // what Release returns
	fence     atomic.Int64

	mu    sync.Mutex
	state state
	timer *time.Timer // calls tick when something is due
}

// newLock begins to hold what a request took that was sent just after start. It returns
// nil after Close.
func (k *Locker) newLock(parent context.Context, key string, handle *redislock.Lock, start instant) *Lock {
	l := &Lock{locker: k, key: key, handle: handle, state: newState(&k.cfg, start)}
	l.ctx, l.cancel = context.WithCancelCause(parent)
	l.mu.Lock() // until it is among those that are held: its end must find it there
	l.timer = time.AfterFunc(l.state.next(start), l.tick)
	k.mu.Lock()
	ended := k.life.Ended()
	if !ended {
		k.held[l] = struct{}{}
	}
	k.mu.Unlock()
	l.mu.Unlock()
	if ended {
		l.close()
		return nil
	}
	return l
}

// Context is cancelled, with the cause ErrLost, the moment the lock can no longer be
// trusted. Release cancels it too, and Close with the cause ErrClosed. It has the values
// of the context that took the lock, and under Do and TryDo also its end.
func (l *Lock) Context() context.Context { return l.ctx }

// Release gives the lock back and wakes the callers that wait for it. It does not end with
// ctx, so that a caller that hung up does not leave others waiting: it is bounded by 2 s of
// its own. All calls return what the first one did.
//
// It returns nil if Redis says that this gave the lock back. It returns ErrLost if the lock
// was lost before: another holder may have been there when the last work was done under it.
// On any other error it is not known whether the lock was given back; it ends by its TTL at
// the latest. If Redis does not answer, the release is sent once more.
//
// One round trip: a script of GET, DEL and PUBLISH. If an ACL refuses the channel, Release
// does not fail: Config.OnError receives that, and waiters see the release within
// Config.Poll.
func (l *Lock) Release(ctx context.Context) error {
	l.releasing.Do(func() { l.released = l.release(ctx) })
	return l.released
}

func (l *Lock) release(ctx context.Context) error {
	k := l.locker
	if k.life.Begin() {
		defer k.life.Done()
	}
	lost := l.finish()
	l.released = cmp.Or(lost, errPanicked) // unless release returns
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), detachedTimeout)
	defer cancel()
	var err error
	if !errors.Is(lost, errGone) {
		err = l.giveBack(ctx)
	}
	gone := errors.Is(err, redislock.ErrLockNotHeld)
	if err != nil && !gone {
		err = k.report.Redis(context.WithoutCancel(ctx), "release", err) // not because ctx ended
	}
	switch {
	case lost != nil:
		if err != nil && !gone {
			k.report.OnError(ctx, err)
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

// giveBack deletes the key, if it still holds our token, and announces that. It returns
// ErrLockNotHeld if it does not.
func (l *Lock) giveBack(ctx context.Context) error {
	err := l.sendRelease(ctx)
	if err != nil && !errors.Is(err, redislock.ErrLockNotHeld) {
		again := l.sendRelease(ctx)
		// The second copy finds no lock either because the first copy ran or because the
		// lock was lost before. If the first may have run, its error stands.
		if !errors.Is(again, redislock.ErrLockNotHeld) || sender.OutcomeOf(err) != sender.MayHaveRun {
			err = again
		}
	}
	return err
}

func (l *Lock) sendRelease(ctx context.Context) error {
	k := l.locker
	cmd := k.sender.Run(ctx, sender.Keep, releaseCall(l.key, l.handle.Token()+l.handle.Metadata()))
	if err := cmd.Err(); err != nil {
		return err
	}
	switch reply := cmd.Val().(type) {
	case int64:
		if reply == 0 {
			return redislock.ErrLockNotHeld
		}
	case string:
		k.report.OnError(ctx, k.report.Redis(ctx, "announce a release", sender.Refused(reply)))
	default:
		return sender.ErrReply
	}
	return nil
}

// with returns the lock's handle, which sends extra behind each script.
func (l *Lock) with(extra ...redis.Cmder) *redislock.Lock {
	h := &struct { // one allocation for both
		redislock.Lock
		scripter sender.Scripter
	}{*l.handle, l.locker.scripter(sender.Keep, nil, extra)}
	h.Client = redislock.New(&h.scripter)
	return &h.Lock
}

// check returns why the lock can no longer be trusted, if so.
func (l *Lock) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state.expired(l.locker.clock()) {
		l.lose(errExpired)
	}
	return l.state.why
}

// finish ends the lock for its Release and returns why it was lost before, if so.
func (l *Lock) finish() error {
	_ = l.check() // notes that it has expired
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := l.state.release()
	l.end(nil)
	return lost
}

// close ends renewals and cancels the context for Locker.Close.
func (l *Lock) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.close()
	l.end(ErrClosed)
}

// lose ends the lock because it can no longer be trusted. It needs l.mu.
func (l *Lock) lose(why error) {
	if !l.state.lose(why) {
		return
	}
	l.locker.stats.lost.Add(1)
	if l.state.byMaxHold() {
		l.locker.stats.maxHolds.Add(1)
	}
	l.end(why)
}

// end ends renewals and cancels the context; only the first cause counts. It needs l.mu.
func (l *Lock) end(cause error) {
	l.timer.Stop()
	l.cancel(cause)
	l.locker.forget(l)
}
