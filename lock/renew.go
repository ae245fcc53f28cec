package lock

import (
	"context"
	"errors"

	"github.com/bsm/redislock"

	"github.com/convkit/rediskit/internal/life"
)

// tick does what is due: it ends a lock that can no longer be trusted, or renews it. While
// a renewal waits for Redis, the timer goes on, so that the lock ends on time even if the
// renewal does not return. It runs on the timer's goroutine.
func (l *Lock) tick() {
	k := l.locker
	if !k.life.Begin() {
		return // Close ends the lock
	}
	defer k.life.Done()
	defer life.Recover(k.panicked)

	l.mu.Lock()
	now := k.clock()
	what, why := l.state.due(now)
	switch what {
	case toLose:
		l.lose(why)
	case toRenew:
		l.state.beginRenewal()
		l.arm(now)
	case nothing:
		l.arm(now)
	}
	l.mu.Unlock()

	switch {
	case errors.Is(why, ErrMaxHold):
		_ = l.Release(l.ctx) // an ErrLost, which is the cause of the context already
	case what == toRenew:
		l.renew()
	}
}

// renew extends the lock by another TTL.
func (l *Lock) renew() {
	k := l.locker
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), k.cfg.renewEvery())
	defer cancel()
	wait := k.acknowledgement(ctx)
	start := k.clock()
	err := l.with(wait...).Refresh(ctx, k.cfg.TTL, nil)
	gone := errors.Is(err, redislock.ErrNotObtained)
	switch {
	case err == nil:
		if err = k.acknowledged(wait); err != nil {
			err = k.report.Fail("renew", err)
		}
	case !gone:
		err = k.report.Redis(context.WithoutCancel(ctx), "renew", err) // not because ctx ended
	}
	if err != nil && !gone {
		k.stats.failedRenewals.Add(1)
		k.report.Tell(l.ctx, err)
	}
	now := k.clock()

	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case gone:
		if l.state.holds() { // else Release or Close ended it
			l.lose(errGone)
		}
		return
	case err != nil:
		l.state.renewalFailed(now)
	case l.state.renewed(start):
		k.stats.renewals.Add(1)
	}
	if l.state.holds() && l.state.expired(now) {
		l.lose(errExpired)
	}
	l.arm(now)
}

// arm sets the timer to what is next, if anything is. It needs l.mu.
func (l *Lock) arm(now instant) {
	if l.state.holds() {
		l.timer.Reset(l.state.next(now))
	}
}
