package lock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/report"
)

// wait takes the lock of key once it can. why is what the first look at it
// brought.
func (k *Locker) wait(ctx, parent context.Context, op, key string, why error) (*Lock, error) {
	k.stats.waits.Add(1)
	k.stats.waiting.Add(1)
	defer k.stats.waiting.Add(-1)
	ln := k.join(key)
	if ln == nil {
		return nil, k.report.Fail(op, ErrClosed)
	}
	defer k.leave(key, ln)
	select {
	case ln.turn <- struct{}{}:
		defer func() { <-ln.turn }()
	case <-ctx.Done():
	case <-k.life.Done():
	}
	for k.life.Err() == nil && ctx.Err() == nil {
		left := redis.NewDurationCmd(ctx, time.Millisecond, "pttl", key)
		l, err := k.take(ctx, parent, op, key, left)
		if err == nil || !passing(err) {
			return l, err
		}
		if report.End(ctx) == nil { // else a look that was cut short says nothing
			why = err
			if !errors.Is(err, ErrHeld) {
				k.report.Tell(ctx, err)
			}
		}
		timer := time.NewTimer(k.untilLook(left, err))
		select {
		case <-ln.rung:
			k.stats.woken.Add(1)
		case <-timer.C:
			k.stats.polls.Add(1)
		case <-ctx.Done():
		case <-k.life.Done():
		}
		timer.Stop()
	}
	if k.life.Err() != nil {
		return nil, k.report.Fail(op, ErrClosed)
	}
	return nil, k.waited(ctx, op, why)
}

// waited is the error of a wait that ended with its context: that, and what the
// last look brought.
func (k *Locker) waited(ctx context.Context, op string, why error) error {
	why = errors.Unwrap(why) // without the operation
	if !errors.Is(why, ctx.Err()) {
		why = fmt.Errorf("%w: %w", ctx.Err(), why)
	}
	return k.report.Fail(op, why)
}

// untilLook is the pause before the next look at a lock that nobody announces,
// after one that brought err: until it expires, if it is held and that is sooner
// than Poll. A server that refuses to grant one, as a replica, may well say that
// there is none. The pause is a little random, so that the waiters of a fleet do
// not look in step.
func (k *Locker) untilLook(left *redis.DurationCmd, err error) time.Duration {
	poll := k.cfg.Poll - rand.N(k.cfg.Poll/4)
	if !errors.Is(err, ErrHeld) || left.Err() != nil || left.Val() == noTTL {
		return poll
	}
	expiry := max(left.Val(), 0) + time.Millisecond // a key outlives its last millisecond
	return min(poll, expiry+rand.N(expiry/4))
}

// noTTL is what PTTL says of a key that never expires, as a foreign one may.
const noTTL = -1
