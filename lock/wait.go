package lock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
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
		if why = err; !errors.Is(err, ErrHeld) && ctx.Err() == nil {
			k.report.Tell(ctx, err)
		}
		timer := time.NewTimer(k.untilLook(left))
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
	if errors.Is(why, ctx.Err()) {
		return nil, why
	}
	return nil, k.report.Fail(op, fmt.Errorf("%w: %w", ctx.Err(), errors.Unwrap(why)))
}

// untilLook is the pause before the next look at a lock that nobody announces:
// until it expires, if that is soon. It is stretched a little at random, so
// that the waiters of a fleet do not look in step.
func (k *Locker) untilLook(left *redis.DurationCmd) time.Duration {
	d := k.cfg.Poll
	if left.Err() == nil && left.Val() >= 0 {
		d = min(d, left.Val()+time.Millisecond) // a key outlives its last millisecond
	}
	return d + rand.N(d/4)
}
