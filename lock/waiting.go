package lock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/report"
)

// waiters are the callers of this process that wait for the lock of one key. One of them,
// the leader, looks at the lock; the others cost Redis nothing.
type waiters struct {
	leader chan struct{} // holds a token while one of them is the leader
	wake   chan struct{} // holds a token once there may be something to see
	count  int           // under Locker.mu
	end    context.CancelFunc
}

// wakeLeader lets the leader look at the lock at once.
func (w *waiters) wakeLeader() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// join adds a waiter for key. It returns nil after Close.
func (k *Locker) join(key string) *waiters {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.life.Ended() {
		return nil
	}
	w := k.waiting[key]
	if w == nil {
		k.life.Begin() // true: Close ends the Life under k.mu
		ctx, end := context.WithCancel(k.life.Context())
		w = &waiters{leader: make(chan struct{}, 1), wake: make(chan struct{}, 1), end: end}
		k.waiting[key] = w
		sub, err := k.subscriber()
		go func() { // not by life.Go: ctx ends with the waiters and with the Life already
			defer k.life.Done()
			defer life.Recover(k.panicked)
			if err == nil {
				err = k.listen(ctx, sub, w, keys.Sibling(kindReleased, key))
			}
			if err != nil && ctx.Err() == nil {
				k.notListening(err)
			}
		}()
	}
	w.count++
	return w
}

// leave removes a waiter for key.
func (k *Locker) leave(key string, w *waiters) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w.count--; w.count > 0 {
		return
	}
	w.end()
	delete(k.waiting, key)
	if len(k.waiting) == 0 && k.releases != nil && !k.life.Ended() {
		k.idle = time.AfterFunc(idleTime, k.disconnect)
	}
}

// wait takes the lock of key once it can. why is the error of the first look at it.
func (k *Locker) wait(ctx, parent context.Context, op, key string, why error) (*Lock, error) {
	k.stats.waits.Add(1)
	k.stats.waiting.Add(1)
	defer k.stats.waiting.Add(-1)
	w := k.join(key)
	if w == nil {
		return nil, k.report.Fail(op, ErrClosed)
	}
	defer k.leave(key, w)
	ended := k.life.Context().Done()
	select {
	case w.leader <- struct{}{}:
		defer func() { <-w.leader }()
	case <-ctx.Done():
	case <-ended:
	}
	for !k.life.Ended() && ctx.Err() == nil {
		left := redis.NewDurationCmd(ctx, time.Millisecond, "pttl", key)
		l, err := k.take(ctx, parent, op, key, left)
		if err == nil || !worthWaiting(err) {
			return l, err
		}
		if report.End(ctx) == nil { // else the look was cut short and says nothing
			why = err
			if !errors.Is(err, ErrHeld) {
				k.report.OnError(ctx, err)
			}
		}
		timer := time.NewTimer(k.untilLook(left, err))
		select {
		case <-w.wake:
			k.stats.woken.Add(1)
		case <-timer.C:
			k.stats.polls.Add(1)
		case <-ctx.Done():
		case <-ended:
		}
		timer.Stop()
	}
	if k.life.Ended() {
		return nil, k.report.Fail(op, ErrClosed)
	}
	return nil, k.waited(ctx, op, why)
}

// waited returns the error of a wait that ended with its context: the context's, and that
// of the last look.
func (k *Locker) waited(ctx context.Context, op string, why error) error {
	why = errors.Unwrap(why) // without the operation
	if !errors.Is(why, ctx.Err()) {
		why = fmt.Errorf("%w: %w", ctx.Err(), why)
	}
	return k.report.Fail(op, why)
}

// untilLook returns the pause before the next look, if no announcement comes, after a look
// that returned err: Poll, or less if the lock is held and expires sooner. What PTTL says
// counts only for a lock that is held: a server that refuses to grant one, as a replica, may
// well say that there is none. The pause is a little random, so that the waiters of a fleet
// do not look at the same moments.
func (k *Locker) untilLook(left *redis.DurationCmd, err error) time.Duration {
	poll := k.cfg.Poll - rand.N(k.cfg.Poll/4)
	if !errors.Is(err, ErrHeld) || left.Err() != nil || left.Val() == noTTL {
		return poll
	}
	expiry := max(left.Val(), 0) + time.Millisecond // a key exists during its last millisecond
	return min(poll, expiry+rand.N(expiry/4))
}

// noTTL is what PTTL says of a key that never expires, as another program may make one.
const noTTL = -1
