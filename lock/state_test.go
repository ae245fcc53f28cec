package lock

import (
	"errors"
	"testing"
	"time"
)

// at is a moment so long after a lock was taken, by both clocks.
func at(d time.Duration) instant { return instant{wall: d, mono: d} }

var stateConfig = Config{TTL: 10 * time.Second, MaxHold: time.Minute}

// inPhase returns the state of a lock that was taken at 0 and is in a phase.
func inPhase(p phase) state {
	s := newState(&stateConfig, at(0))
	s.phase = p
	if p == lost {
		s.why = errGone
	}
	return s
}

func TestALockGoesFromPhaseToPhaseAsItsTableSays(t *testing.T) {
	events := []struct {
		name string
		do   func(*state)
		to   [5]phase // from held, renewing, lost, closed, released
	}{
		{"a renewal begins", func(s *state) { s.beginRenewal() }, [5]phase{renewing, renewing, lost, closed, released}},
		{"a renewal succeeds", func(s *state) { s.renewed(at(1)) }, [5]phase{held, held, lost, closed, released}},
		{"a renewal fails", func(s *state) { s.renewalFailed(at(1)) }, [5]phase{held, held, lost, closed, released}},
		{"it is lost", func(s *state) { s.lose(errExpired) }, [5]phase{lost, lost, lost, lost, released}},
		{"Close", func(s *state) { s.close() }, [5]phase{closed, closed, lost, closed, released}},
		{"Release", func(s *state) { s.release() }, [5]phase{released, released, released, released, released}},
	}
	for _, event := range events {
		for from, want := range event.to {
			s := inPhase(phase(from))
			if event.do(&s); s.phase != want {
				t.Errorf("%s in phase %d: phase %d, want %d", event.name, from, s.phase, want)
			}
		}
	}
}

func TestARenewalThatReturnsLateExtendsNothing(t *testing.T) {
	for _, p := range []phase{lost, closed, released} {
		if s := inPhase(p); s.renewed(at(5*time.Second)) || s.valid != at(0) || s.holds() {
			t.Errorf("phase %d: a late renewal counted", p)
		}
	}
}

func TestTheFirstReasonForALossStays(t *testing.T) {
	s := inPhase(held)
	if !s.lose(ErrMaxHold) || s.lose(errGone) || !s.byMaxHold() {
		t.Error("a second reason replaced the first")
	}
	if lost := s.release(); !errors.Is(lost, ErrMaxHold) {
		t.Errorf("Release got %v", lost)
	}
	if s := inPhase(released); s.lose(errGone) || s.release() != nil {
		t.Error("a released lock was lost")
	}
}

func TestWhatIsDueAndWhen(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*state)
		now  time.Duration
		what duty
		why  error
		next time.Duration
	}{
		{"just taken", func(*state) {}, 0, nothing, nil, stateConfig.TTL / 3},
		{"a third of the TTL later", func(*state) {}, 4 * time.Second, toRenew, nil, 0},
		{"while a renewal waits", func(s *state) { s.beginRenewal() }, 4 * time.Second, nothing, nil, 5 * time.Second},
		{"after a renewal", func(s *state) { s.beginRenewal(); s.renewed(at(4 * time.Second)) }, 5 * time.Second, nothing, nil, 8*(stateConfig.TTL/3)/4 - 5*time.Second}, // the last moment before a third of the TTL is over
		{"after a renewal that failed", func(s *state) { s.beginRenewal(); s.renewalFailed(at(4 * time.Second)) }, 4 * time.Second, nothing, nil, stateConfig.TTL / 12},
		{"nine tenths of the TTL later", func(s *state) { s.beginRenewal() }, 9 * time.Second, toLose, errExpired, 0},
		{"at MaxHold", func(s *state) { s.beginRenewal(); s.renewed(at(59 * time.Second)) }, time.Minute, toLose, ErrMaxHold, 0},
		{"shortly before MaxHold", func(s *state) { s.beginRenewal(); s.renewed(at(58 * time.Second)) }, 59 * time.Second, nothing, nil, time.Second},
		{"lost", func(s *state) { s.lose(errGone) }, time.Hour, nothing, nil, 0},
		{"released", func(s *state) { s.release() }, time.Hour, nothing, nil, 0},
	} {
		s := inPhase(held)
		c.do(&s)
		what, why := s.due(at(c.now))
		if what != c.what || why != c.why || s.next(at(c.now)) != c.next {
			t.Errorf("%s: %d, %v, next in %v; want %d, %v, %v", c.name, what, why, s.next(at(c.now)), c.what, c.why, c.next)
		}
	}
}

func TestALockIsOverdueAtMaxHoldInEveryPhase(t *testing.T) {
	for p := held; p <= released; p++ {
		s := inPhase(p)
		if s.overdue(at(stateConfig.MaxHold-1)) || !s.overdue(at(stateConfig.MaxHold)) {
			t.Errorf("phase %d: the lock is not overdue from MaxHold on", p)
		}
	}
}

func TestTheClockThatSawMoreCounts(t *testing.T) {
	for _, now := range []instant{{wall: 9 * time.Second}, {mono: 9 * time.Second}} {
		if s := inPhase(held); !s.expired(now) {
			t.Errorf("%+v: the lock is still trusted", now)
		}
	}
}
