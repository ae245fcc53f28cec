package session_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

// A client that stops waiting leaves its command in a socket, which may deliver it
// minutes later. By then the second copy has made the change, and another caller may have
// undone it on purpose.
func TestALateCopyChangesNothing(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		store, w := wired(t, s, ttl(time.Hour))
		for name, a := range attempts() {
			for _, after := range []time.Duration{0, 9 * time.Second, 11 * time.Second, 31 * time.Second, 20 * time.Minute} {
				if a.call == "Touch" && after < 10*time.Second {
					continue // touching twice is touching once
				}
				id := fmt.Sprint(name, after)
				a.arrange(t, s, id)
				w.meet(stuck)
				err := calls(t, store)[a.call](t.Context(), id)
				a.check(t, s, id, name, err)

				time.Sleep(after / 2)
				// Now the world is again one in which the change could be made.
				again := a
				if a.err != nil {
					again = possible(a.call)
				}
				again.arrange(t, s, id)
				for range 5 { // operations that come between have records of their own
					if a.call != "Create" && again.before != nil {
						if _, err := store.Touch(t.Context(), id); err != nil {
							t.Fatal(err)
						}
					}
				}
				time.Sleep(after - after/2)
				before := worldOf(t, s, id)
				replay(t, s, w.copies()...)
				if now := worldOf(t, s, id); !reflect.DeepEqual(now, before) {
					t.Errorf("%s: the copy that came after %v made %v of %v", name, after, now, before)
				}
			}
		}
	})
}

// possible is the attempt of a call that succeeds.
func possible(call string) attempt {
	for _, a := range attempts() {
		if a.call == call && a.err == nil && (call == "Create") == (a.before == nil) {
			return a
		}
	}
	panic(call)
}

func TestALateCopyBringsNoSessionBack(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		for _, end := range []string{"expired", "deleted"} {
			store, w := wired(t, s, ttl(5*time.Second))
			for name, a := range attempts() {
				id := end + name
				a.arrange(t, s, id)
				w.meet(stuck)
				err := calls(t, store)[a.call](t.Context(), id)
				a.check(t, s, id, name, err)
				if end == "deleted" {
					if err := store.Delete(t.Context(), id); err != nil {
						t.Fatal(err)
					}
				} else {
					time.Sleep(5 * time.Second) // its record lives on
					s.Client().Del(t.Context(), keyOf(s, id))
				}
				replay(t, s, w.copies()...)
				gone(t, s, id)
			}
		}
	})
}

// The same where time cannot be made to pass: a copy that comes within its time
// meets the record.
func TestALateCopyChangesNothingOnARealServer(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		store, w := wired(t, s)
		for name, a := range attempts() {
			if a.call == "Touch" {
				continue
			}
			a.arrange(t, s, name)
			w.meet(stuck)
			err := calls(t, store)[a.call](t.Context(), name)
			a.check(t, s, name, name, err)
			again := a
			if a.err != nil {
				again = possible(a.call)
			}
			again.arrange(t, s, name)
			before := hash(t, s, name)
			replay(t, s, w.copies()...)
			if now := hash(t, s, name); !reflect.DeepEqual(now, before) {
				t.Errorf("%s: the late copy made %v of %v", name, now, before)
			}
		}
	})
}

func TestAServerWhoseClockIsAnotherCostsOneRoundTrip(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{time.Hour, -time.Hour, 11 * time.Second, -2 * time.Second} {
		s := redistest.Mini(t)
		warm(t, newStore[talk](t, s))
		s.Advance(off)
		rdb := s.Client()
		store := newStoreOn[talk](t, s, rdb)
		roundTrips := redistest.Trips(rdb)
		create(t, store, "1", aTalk())
		if n := roundTrips.Take(); n != 2 {
			t.Errorf("%v: the first change cost %d round trips, want 2", off, n)
		}
		for range 3 {
			if _, err := store.Touch(t.Context(), "1"); err != nil {
				t.Error(err)
			}
		}
		if n := roundTrips.Take(); n != 3 {
			t.Errorf("%v: three more cost %d", off, n)
		}
	}
}

// By a clock that is ahead of the server's, the time of the first copy is still to come. By
// one that is behind, it may have come and gone.
func TestALostReplyOfAServerWhoseClockIsAnotherLeavesOpenWhetherTheChangeWasMade(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{time.Hour, -time.Hour} {
		for _, f := range []fate{replyLost, stuck} {
			s := redistest.Mini(t)
			warm(t, newStore[talk](t, s))
			s.Advance(off)
			rdb, w := s.Client(), &wire{}
			rdb.AddHook(w)
			store := newStoreOn[talk](t, s, rdb)
			w.meet(f)
			if err := store.Create(t.Context(), "1", aTalk()); !errors.Is(err, session.ErrUncertain) {
				t.Errorf("%v, fate %v: %v", off, f, err)
			}
			s.Client().Del(t.Context(), keyOf(s, "1"))
			s.Advance(time.Minute)
			replay(t, s, w.copies()...)
			gone(t, s, "1")
		}
	}
}

func TestAServerThatStoodStillForLongRefusesWhatWaited(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		store := newStoreOn[talk](t, s, rdb)
		warm(t, store)
		slow := true
		rdb.AddHook(redistest.Commands(func(next func() error, names ...string) error {
			if slow {
				time.Sleep(11 * time.Second)
			}
			return next()
		}))
		err := store.Create(t.Context(), "1", aTalk())
		if err == nil || errors.Is(err, session.ErrUncertain) {
			t.Errorf("Create: %v", err)
		}
		gone(t, s, "1")
		slow = false
		create(t, store, "1", aTalk())
	})
}

// The record of the first copy may have been there and be gone again.
func TestAReplyThatIsLostTooLateLeavesOpenWhetherTheChangeWasMade(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		store := newStoreOn[talk](t, s, rdb, ttl(time.Hour))
		warm(t, store)
		create(t, store, "1", aTalk())
		first := true
		rdb.AddHook(redistest.Commands(func(next func() error, names ...string) error {
			err := next()
			if first && names[0] == "evalsha" {
				first = false
				time.Sleep(31 * time.Second)
				return io.EOF
			}
			return err
		}))
		_, err := store.Update(t.Context(), "1", func(v *talk) error { v.N++; return nil })
		if n := hash(t, s, "1")["n"]; !errors.Is(err, session.ErrUncertain) || n != "1" {
			t.Errorf("Update: %v, n = %s", err, n)
		}
	})
}

func TestRecordsOfOperationsEndAfterHalfAMinute(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		store := newStore[talk](t, s, ttl(time.Hour))
		ctx, rdb := t.Context(), s.Client()
		create(t, store, "1", aTalk())
		records := func() int { return len(rdb.Keys(ctx, "rediskit:op-*").Val()) }
		one := records()
		for range 10 { // neither touches nor what is refused leaves any
			if _, err := store.Touch(ctx, "1"); err != nil {
				t.Fatal(err)
			}
			_ = store.Create(ctx, "1", aTalk())
			_, _ = stateOf(t, store).Transition(ctx, "1", answered, listening)
		}
		if one != 1 || records() != 1 {
			t.Errorf("%d records after one change, %d after refused ones", one, records())
		}
		time.Sleep(30 * time.Second)
		if n := records(); n != 0 {
			t.Errorf("%d records after 30 s", n)
		}
	})
}
