package session_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

// Steps of the server's clock around the loss of a reply. A machine that is suspended
// meanwhile sees the server's clock step forward.
var clockSteps = []struct {
	before, between time.Duration // the first copy; both copies
	ran, stuck      bool          // the outcome is known, if the first copy ran; if it is stuck
}{
	{between: 35 * time.Second}, // the record of the first copy is gone
	{between: 48 * time.Hour},
	{between: 5 * time.Second, ran: true},
	{between: 300 * time.Millisecond, ran: true, stuck: true},
	{between: -300 * time.Millisecond, ran: true, stuck: true},
	{between: -5 * time.Second, ran: true},
	{between: -time.Hour, ran: true},
	{between: -48 * time.Hour, ran: true},
	{before: 5 * time.Second, ran: true},
	{before: 35 * time.Second}, // the first copy is refused
	{before: -time.Hour},
	{before: 35 * time.Second, between: -35 * time.Second, ran: true, stuck: true},
	{before: -35 * time.Second, between: 35 * time.Second, ran: true, stuck: true},
}

func TestNoStepOfTheServersClockMakesAChangeTwice(t *testing.T) {
	t.Parallel()
	redistest.RunWithClock(t, func(t *testing.T, s *redistest.Server) {
		store, w := wired(t, s, ttl(100*time.Hour))
		for name, a := range attempts() {
			for _, step := range clockSteps {
				for _, f := range []fate{replyLost, stuck} {
					what := fmt.Sprintf("%s, %+v, fate %d", name, step, f)
					_, _ = store.Touch(t.Context(), "1") // the store knows the clock before each step
					a.arrange(t, s, "1")
					s.Client().Expire(t.Context(), keyOf(s, "1"), 100*time.Hour) // no step ends it
					w.meet(f)
					w.then = func() { s.StepClock(step.between) }
					s.StepClock(step.before)
					err := calls(t, store)[a.call](t.Context(), "1")
					uncertain := errors.Is(err, session.ErrUncertain)
					if !uncertain {
						a.check(t, s, "1", what, err)
					}
					replay(t, s, w.copies()...)
					if got := hash(t, s, "1"); got["n"] != a.n && got["n"] != a.before["n"] {
						t.Errorf("%s: Redis holds %v", what, got)
					}
					known := f == replyLost && step.ran || f == stuck && step.stuck
					if a.call == "Update" && uncertain == known {
						t.Errorf("%s: %v", what, err)
					}
				}
			}
		}
	})
}

// The record is gone and the clock is right again. Another reply has shown the step.
func TestAStepThereAndBackThatTheStoreSawLeavesOpenWhetherTheChangeWasMade(t *testing.T) {
	t.Parallel()
	redistest.RunWithClock(t, func(t *testing.T, s *redistest.Server) {
		store, w := wired(t, s, ttl(time.Hour))
		create(t, store, "1", aTalk())
		w.meet(replyLost)
		w.then = func() {
			stepAndExpire(t, s, 35*time.Second)
			create(t, store, "2", aTalk())
			s.StepClock(-35 * time.Second)
		}
		_, err := store.Update(t.Context(), "1", func(v *talk) error { v.N++; return nil })
		if n := hash(t, s, "1")["n"]; !errors.Is(err, session.ErrUncertain) || n != "1" {
			t.Errorf("%v, n = %s", err, n)
		}
	})
}

// This is what doc.go says is not guaranteed. If it no longer happens, mend doc.go.
func TestAStepThereAndBackThatNobodySawMakesAChangeTwice(t *testing.T) {
	t.Parallel()
	redistest.RunWithClock(t, func(t *testing.T, s *redistest.Server) {
		store, w := wired(t, s, ttl(time.Hour))
		create(t, store, "1", aTalk())
		for step, n := range map[time.Duration]string{25 * time.Second: "1", 31 * time.Second: "2"} {
			otherProgram(t, s, "1", "n", "0")
			s.Client().Expire(t.Context(), keyOf(s, "1"), time.Hour)
			w.meet(replyLost)
			w.then = func() {
				stepAndExpire(t, s, step)
				s.StepClock(-step)
			}
			_, err := store.Update(t.Context(), "1", func(v *talk) error { v.N++; return nil })
			if got := hash(t, s, "1")["n"]; err != nil || got != n {
				t.Errorf("%v: %v, n = %s", step, err, got)
			}
		}
	})
}

// stepAndExpire sets the server's clock ahead and lets it remove the records that expire.
func stepAndExpire(t testing.TB, s *redistest.Server, d time.Duration) {
	t.Helper()
	records := s.Client().Keys(t.Context(), "rediskit:op-*").Val()
	s.StepClock(d)
	if err := s.Client().Exists(t.Context(), records...).Err(); err != nil || len(records) == 0 {
		t.Errorf("%d records: %v", len(records), err)
	}
}

// A connection that must be made first, or a server that is busy, is no step of a clock.
func TestASecondCopyThatIsSlowMakesTheChange(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		w := &wire{}
		rdb.AddHook(w)
		store := newStoreOn[talk](t, s, rdb, ttl(time.Hour))
		warm(t, store)
		create(t, store, "1", aTalk())
		copies := 0
		rdb.AddHook(redistest.Commands(func(next func() error, names ...string) error {
			if names[0] == "evalsha" {
				if copies++; copies == 1 {
					time.Sleep(4 * time.Second)
				}
			}
			return next()
		}))
		w.meet(stuck)
		_, err := store.Update(t.Context(), "1", func(v *talk) error { v.N++; return nil })
		if n := hash(t, s, "1")["n"]; err != nil || n != "1" || copies != 2 {
			t.Errorf("%v, n = %s after %d copies that arrived", err, n, copies)
		}
	})
}
