package lock

import (
	"context"
	"errors"

	"github.com/bsm/redislock"
)

// tick does what is due: it ends a lock that can no longer be trusted or has
// been held for long enough, or renews it. While a renewal waits for Redis,
// the timer runs on: it ends the lock, not the renewal's return.
func (l *Lock) tick() {
	k := l.locker
	if !k.begin() {
		return // Close ends the lock
	}
	defer k.running.Done()

	l.mu.Lock()
	now := k.clock()
	expired := now.since(l.valid) >= k.cfg.validFor()
	overdue := now.since(l.taken) >= k.cfg.MaxHold
	due := !l.ended && !l.renewing && !expired && !overdue && now.since(l.tried) >= l.pause
	switch {
	case l.ended:
	case expired:
		l.lose(errExpired)
	case overdue:
		l.lose(ErrMaxHold)
	default:
		l.renewing = l.renewing || due
		l.arm(now)
	}
	l.mu.Unlock()

	switch {
	case overdue:
		_ = l.Release(l.ctx) // an ErrLost, which the context has told
	case due:
		l.renew()
	}
}

// renew extends the lock by another TTL.
func (l *Lock) renew() {
	k := l.locker
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), k.cfg.renewEvery())
	defer cancel()
	t := newTrip(k.rdb, l.key)
	acks := k.acknowledge(ctx, t)
	start := k.clock()
	err := l.through(t).Refresh(ctx, k.cfg.TTL, nil)
	gone := errors.Is(err, redislock.ErrNotObtained)
	switch {
	case err == nil:
		if err = k.acknowledged(acks); err != nil {
			err = k.report.Fail("renew", err)
		}
	case !gone:
		err = k.report.Redis(context.WithoutCancel(ctx), "renew", err) // its end is not why
	}
	if err != nil && !gone {
		k.stats.failedRenewals.Add(1)
		k.report.Tell(l.ctx, err)
	}
	now := k.clock()

	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewing = false
	switch {
	case l.ended: // that it was renewed, if so, is too late to count
		return
	case gone:
		l.lose(errGone)
		return
	case err == nil:
		k.stats.renewals.Add(1)
		l.valid, l.tried, l.pause = start, start, k.cfg.renewEvery()
	default:
		l.tried, l.pause = now, k.cfg.renewAgain()
	}
	if now.since(l.valid) >= k.cfg.validFor() {
		l.lose(errExpired)
		return
	}
	l.arm(now)
}

// arm sets the timer to what is next. It needs l.mu.
func (l *Lock) arm(now instant) {
	cfg := &l.locker.cfg
	next := min(cfg.validFor()-now.since(l.valid), cfg.MaxHold-now.since(l.taken))
	if !l.renewing {
		next = min(next, l.pause-now.since(l.tried))
	}
	l.timer.Reset(max(next, 0))
}
