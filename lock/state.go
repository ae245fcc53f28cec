package lock

import (
	"errors"
	"time"
)

// A phase is one of the phases of a Lock. The table has the events, and the phase after each:
//
//	phase     renewal due   renewal over   lost      Close     Release
//	held      renewing                     lost      closed    released
//	renewing                held           lost      closed    released
//	lost                    lost           lost      lost      released
//	closed                  closed         lost      closed    released
//	released                released       released  released  released
//
// Where the table is empty, the event cannot happen. The context of a Lock ends when the Lock
// leaves the first two phases.
type phase int

const (
	held     phase = iota
	renewing       // held, and a renewal waits for Redis
	lost           // it can no longer be trusted; why says why
	closed         // the Locker was closed: not renewed any more
	released       // Release was called
)

// A state is all that is known of a Lock. It knows neither Redis nor timers: each method
// is one transition, or says what is due.
type state struct {
	cfg   *Config
	phase phase
	why   error // an ErrLost, of a lock that was lost; it stays after Release

	taken instant // just before the request that took the lock was sent
	valid instant // just before the last request that extended it was sent

	// The next renewal is due pause after since, the last renewal or the moment when it
	// failed.
	since instant
	pause time.Duration
}

func newState(cfg *Config, taken instant) state {
	return state{cfg: cfg, taken: taken, valid: taken, since: taken, pause: cfg.renewAfter(taken)}
}

// holds reports whether the lock may still be trusted, as far as is known.
func (s *state) holds() bool { return s.phase == held || s.phase == renewing }

// expired reports whether the last extension is too long ago for the lock to be trusted.
func (s *state) expired(now instant) bool { return now.since(s.valid) >= s.cfg.validFor() }

// overdue reports whether the lock was held for MaxHold, so that it must be given back.
func (s *state) overdue(now instant) bool { return now.since(s.taken) >= s.cfg.MaxHold }

// A duty is what is to be done about a lock.
type duty int

const (
	nothing duty = iota
	toLose       // with the error that due returns
	toRenew
)

// due returns what is to be done now, and why for toLose.
func (s *state) due(now instant) (duty, error) {
	switch {
	case !s.holds():
		return nothing, nil
	case s.expired(now):
		return toLose, errExpired
	case s.overdue(now):
		return toLose, ErrMaxHold
	case s.phase == held && now.since(s.since) >= s.pause:
		return toRenew, nil
	}
	return nothing, nil
}

// next returns how long it takes until something is due.
func (s *state) next(now instant) time.Duration {
	next := min(s.cfg.validFor()-now.since(s.valid), s.cfg.MaxHold-now.since(s.taken))
	if s.phase == held {
		next = min(next, s.pause-now.since(s.since))
	}
	return max(next, 0)
}

// beginRenewal notes that a renewal is about to be sent.
func (s *state) beginRenewal() {
	if s.phase == held {
		s.phase = renewing
	}
}

// renewed notes that Redis extended the lock, by a request that was sent after start. A
// lock that was lost, closed or released meanwhile stays so.
func (s *state) renewed(start instant) bool {
	if s.phase != renewing {
		return false
	}
	s.phase, s.valid, s.since, s.pause = held, start, start, s.cfg.renewAfter(start)
	return true
}

// renewalFailed notes that a renewal did not extend the lock. The next one is due soon.
func (s *state) renewalFailed(now instant) {
	if s.phase == renewing {
		s.phase, s.since, s.pause = held, now, s.cfg.renewAfterFailure()
	}
}

// hurry makes a renewal due at once.
func (s *state) hurry() {
	if s.phase == held {
		s.pause = 0
	}
}

// lose notes why the lock can no longer be trusted. It returns false if the lock was lost
// or released before.
func (s *state) lose(why error) bool {
	if s.phase == lost || s.phase == released {
		return false
	}
	s.phase, s.why = lost, why
	return true
}

// close notes that the Locker was closed.
func (s *state) close() {
	if s.holds() {
		s.phase = closed
	}
}

// release notes that Release was called. It returns why the lock was lost before, if so.
func (s *state) release() error {
	s.phase = released
	return s.why
}

// byMaxHold reports whether the lock was lost because it was held for too long.
func (s *state) byMaxHold() bool { return errors.Is(s.why, ErrMaxHold) }
