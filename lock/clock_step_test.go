package lock_test

import (
	"errors"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

// dead takes the lock of id for a holder that then ends without giving it back.
func dead(t *testing.T, s *redistest.Server, id string, set ...func(*lock.Config)) {
	t.Helper()
	k := newLocker(t, s, set...)
	mustTry(t, k, id)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
}

var stepsBack = []time.Duration{-3 * time.Second, -time.Minute, -time.Hour, -48 * time.Hour}

func TestADeadHoldersLockLastsForItsTTLThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	redistest.RunWithClock(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s, ttl(time.Minute)) // it goes by the holder's TTL
		for _, step := range stepsBack {
			dead(t, s, "1", ttl(5*time.Second))
			s.StepClock(step)
			if _, err := k.Try(t.Context(), "1"); !errors.Is(err, lock.ErrHeld) {
				t.Errorf("%v: Try = %v, want ErrHeld: its holder may go on", step, err)
			}
			if got := s.Client().PTTL(t.Context(), keyOf(s, "1")).Val(); got > 5*time.Second || got < 3*time.Second {
				t.Errorf("%v: the lock lasts for %v, want its TTL of 5s", step, got)
			}
			s.Advance(5*time.Second + time.Millisecond)
			l, err := k.Try(t.Context(), "1")
			if err != nil {
				t.Fatalf("%v: Try = %v after a TTL", step, err)
			}
			mustRelease(t, l)
		}
	})
}

func TestAWaiterGetsADeadHoldersLockWithinATTLAndAPollThoughTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	for _, step := range stepsBack {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			dead(t, s, "1")
			k := newLocker(t, s)
			waiting := acquire(t.Context(), k, "1")
			time.Sleep(2 * time.Second)
			s.StepClock(step)
			began := time.Now()
			mustRelease(t, got(t, waiting))
			if took := time.Since(began); took > 10*time.Second+2*500*time.Millisecond {
				t.Errorf("%v: a waiter waited for %v more", step, took)
			}
		})
	}
}

// A live holder is never robbed: whatever waiters do, its lock lasts for a TTL from then on,
// and it is renewed after a third of that.
func TestAHolderThatGoesOnKeepsItsLockWhileTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		l := mustTry(t, newLocker(t, s, func(c *lock.Config) { c.MaxHold = time.Hour }), "1")
		waiting := acquire(t.Context(), newLocker(t, s), "1")
		for i := range 200 { // at all moments between two renewals, and two looks of the waiter
			s.StepClock(stepsBack[i%len(stepsBack)])
			time.Sleep(time.Duration(i) * 37 * time.Millisecond)
			if err := l.Context().Err(); err != nil || !exists(t, s, "1") {
				t.Fatalf("after %d steps: %v", i+1, err)
			}
			select {
			case r := <-waiting:
				t.Fatalf("after %d steps the waiter got the lock: %+v", i+1, r)
			default:
			}
		}
		mustRelease(t, l)
		mustRelease(t, got(t, waiting))
	})
}

func TestAHolderThatGoesOnKeepsItsLockOnARedisServerWhoseClockIsSetBack(t *testing.T) {
	t.Parallel()
	redistest.RunWithClock(t, func(t *testing.T, s *redistest.Server) {
		holders := newLocker(t, s, ttl(1500*time.Millisecond))
		l := mustTry(t, holders, "1")
		waiting := acquire(t.Context(), newLocker(t, s), "1")
		rdb := s.Client()
		for n := range uint64(4) {
			s.StepClock(-time.Hour)
			redistest.Eventually(t, func() bool { return rdb.PTTL(t.Context(), keyOf(s, "1")).Val() <= 1500*time.Millisecond },
				"the waiter or the holder mends the TTL")
			redistest.Eventually(t, func() bool { return holders.Stats().Renewals > n }, "the lock is renewed")
			if l.Context().Err() != nil || len(waiting) > 0 {
				t.Fatalf("after %d steps: %v", n+1, l.Context().Err())
			}
		}
		mustRelease(t, l)
		mustRelease(t, got(t, waiting))
	})
}

// Another program's lock says nothing of its TTL, whatever it looks like.
func TestAnotherProgramsLockIsNotShortened(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		for _, value := range []string{
			"locked", "", "worker:3600", ":px=1000", "host:px=1000", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "ABCDEFGHIJKLMNOPQRSTUVWXYZ:px=0",
			"abcdefghijklmnopqrstuvwxyz:px=1000", "ABCDEFGHIJKLMNOPQRSTUVWXYZ:px=9999999999999999999", "ABCDEFGHIJKLMNOPQRSTUVWXYZ:px=1000 ",
		} {
			s.Client().Set(t.Context(), keyOf(s, "1"), value, time.Hour)
			if _, err := k.Try(t.Context(), "1"); !errors.Is(err, lock.ErrHeld) {
				t.Errorf("%q: Try = %v, want ErrHeld", value, err)
			}
			if got := s.Client().PTTL(t.Context(), keyOf(s, "1")).Val(); got < 59*time.Minute {
				t.Errorf("%q: the lock lasts for %v, want an hour", value, got)
			}
		}
	})
}

// This is what doc.go says is not guaranteed: for up to a third of a TTL there are two holders.
func TestAHolderLearnsWithinAThirdOfATTLThatAStepForwardEndedItsLock(t *testing.T) {
	t.Parallel()
	for _, step := range []time.Duration{11 * time.Second, time.Hour, 48 * time.Hour} {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			l := mustTry(t, newLocker(t, s), "1")
			s.StepClock(step)
			began := time.Now()
			next := mustTry(t, newLocker(t, s), "1")
			<-l.Context().Done()
			if took := time.Since(began); took > 3400*time.Millisecond {
				t.Errorf("%v: the first holder learned of its loss after %v", step, took)
			}
			mustRelease(t, next)
		})
	}
}

func TestFencesRiseOverStepsOfTheClock(t *testing.T) {
	t.Parallel()
	redistest.RunWithClock(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		last := int64(0)
		for _, step := range []time.Duration{0, -time.Hour, 48 * time.Hour, -96 * time.Hour, 0, time.Second} {
			s.StepClock(step)
			l := mustTry(t, k, "1")
			fence, err := l.Fence(t.Context())
			if err != nil || fence <= last {
				t.Errorf("%v: fence %d after %d, %v", step, fence, last, err)
			}
			last = fence
			mustRelease(t, l)
		}
	})
}
