package tracking

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAnEpochIsValidWhilePINGsAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEpoch(Now())
		for range 10 {
			asked := Now()
			time.Sleep(liveness/2 - 1) // the next PING is sent then
			if !e.prolong(asked) || !e.Valid(asked+liveness-1) {
				t.Fatal("the reply came in time, and the epoch ended")
			}
		}
		time.Sleep(liveness)
		if e.Valid(Now()) {
			t.Error("an epoch is valid without a reply")
		}
	})
}

func TestALateReplyDoesNotRestoreAnEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEpoch(Now())
		time.Sleep(liveness)
		if e.prolong(Now()) || e.Valid(Now()) {
			t.Error("an epoch came back: changes may have gone unreported meanwhile")
		}
	})
}

func TestAnEndedEpochStaysEnded(t *testing.T) {
	e := newEpoch(Now())
	e.end()
	if e.prolong(Now()) || e.Valid(Now()) {
		t.Error("an epoch came back after its end")
	}
}

func TestTheReplyToAnOlderPINGDoesNotShortenAnEpoch(t *testing.T) {
	now := Now()
	e := newEpoch(now)
	if !e.prolong(now-liveness/2) || !e.Valid(now+liveness-1) {
		t.Error("the reply to an older PING shortened the epoch")
	}
}

func TestAChangeWasAnnouncedOnceALaterPINGIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEpoch(Now())
		changed := Now()
		if e.Announced(changed) {
			t.Error("announced without a reply")
		}
		if e.prolong(changed); e.Announced(changed) {
			t.Error("announced, though the PING may have come before the change")
		}
		time.Sleep(time.Millisecond)
		if e.prolong(Now()); !e.Announced(changed) {
			t.Error("a later PING was answered, and still not announced")
		}
		if e.end(); e.Announced(changed) {
			t.Error("announced after the end")
		}
		if !Forever.Endless() || Forever.Announced(changed) || e.Endless() {
			t.Error("an epoch without an end announces nothing")
		}
	})
}
