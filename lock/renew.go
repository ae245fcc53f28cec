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
	overdue := l.state.overdue(now)
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
	case overdue: // also if it expired at the same moment, as when the machine was suspended
		_ = l.Release(l.ctx) // an ErrLost, which is the cause of the context already
	case what == toRenew:
		l.renew()
	}
}

// renew extends the lock by another TTL, and reports why it could not.
func (l *Lock) renew() {
	start := l.locker.clock()
	returned := false
	defer func() {
		if !returned { // a hook of the client panics: that is one more failure
			l.renewed(start, errPanicked)
		}
	}()
	err := l.extend()
	returned = true
	l.renewed(start, err)
	if err != nil && !errors.Is(err, errGone) {
		l.locker.report.OnError(l.ctx, err)
	}
}

// extend sends one renewal. It returns errGone if the lock's key does not hold our token
// any more.
func (l *Lock) extend() error {
	k := l.locker
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), k.cfg.renewEvery())
	defer cancel()
	wait := k.replicas().Wait(ctx)
	err := l.with(wait...).Refresh(ctx, k.cfg.TTL, nil)
	switch {
	case errors.Is(err, redislock.ErrNotObtained):
		return errGone
	case err != nil:
		return k.report.Redis(context.WithoutCancel(ctx), "renew", err) // not because ctx ended
	}
	if err := k.acknowledged(context.WithoutCancel(ctx), wait); err != nil {
		return k.report.Fail("renew", err)
	}
	return nil
}

// renewed notes how a renewal ended that was sent after start. A success
// does not extend a lock that has ended meanwhile.
func (l *Lock) renewed(start instant, err error) {
	k := l.locker
	gone := errors.Is(err, errGone)
	if err != nil && !gone {
		k.stats.failedRenewals.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := k.clock()
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

// hurry makes a renewal due at once. One that is under way goes to the old server, and
// fails with its connection.
func (l *Lock) hurry() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.hurry()
	l.arm(l.locker.clock())
}

// arm sets the timer to what is next, if anything is. It needs l.mu.
func (l *Lock) arm(now instant) {
	if l.state.holds() {
		l.timer.Reset(l.state.next(now))
	}
}
