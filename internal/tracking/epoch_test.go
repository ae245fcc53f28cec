package tracking

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAnEpochGoesOnWhilePINGsAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEpoch(Now())
		for range 10 {
			asked := Now()
			time.Sleep(liveness/2 - 1) // the next PING is sent then
			if !e.prolong(asked) || !e.Valid(asked+liveness-1) {
				t.Fatal("an answer came in time, and the epoch ended")
			}
		}
		time.Sleep(liveness)
		if e.Valid(Now()) {
			t.Error("an epoch goes on without an answer")
		}
	})
}

func TestALateAnswerDoesNotBringAnEpochBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEpoch(Now())
		time.Sleep(liveness)
		if e.prolong(Now()) || e.Valid(Now()) {
			t.Error("an epoch came back: changes may have gone untold meanwhile")
		}
	})
}

func TestAnEpochThatEndedStaysSo(t *testing.T) {
	e := newEpoch(Now())
	e.end()
	if e.prolong(Now()) || e.Valid(Now()) {
		t.Error("an epoch came back after its end")
	}
}

func TestAnOlderAnswerTakesNothingBack(t *testing.T) {
	now := Now()
	e := newEpoch(now)
	if !e.prolong(now-liveness/2) || !e.Valid(now+liveness-1) {
		t.Error("the answer to an older PING shortened the epoch")
	}
}
