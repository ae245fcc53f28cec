package session_test

import (
	"errors"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

// Writes that end with HSET alone leave a hash of a few fields without a TTL.
func TestNothingBringsAnExpiredSessionBack(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s, ttl(50*time.Millisecond)), t.Context()
		for name, call := range calls(t, store) {
			if name == "Create" || name == "Put" {
				continue
			}
			create(t, store, name, aTalk())
			s.Advance(50 * time.Millisecond)
			if err := call(ctx, name); !errors.Is(err, session.ErrNotFound) && name != "Delete" {
				t.Errorf("%s of an expired session: %v", name, err)
			}
			gone(t, s, name)
		}
	})
}

func TestASessionThatExpiresWhileFnRunsStaysAway(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store := newStore[talk](t, s, ttl(50*time.Millisecond))
		create(t, store, "1", aTalk())
		_, err := store.Update(t.Context(), "1", func(v *talk) error {
			s.Advance(50 * time.Millisecond)
			v.N++
			return nil
		})
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Update: %v", err)
		}
		gone(t, s, "1")
	})
}

func TestChangesSlideTheTTLAndReadsDoNot(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s, ttl(5*time.Minute)), t.Context()
		state := stateOf(t, store)
		create(t, store, "1", aTalk())
		for name, change := range map[string]func() error{
			"Put":    func() error { return store.Put(ctx, "1", aTalk()) },
			"Touch":  func() error { _, err := store.Touch(ctx, "1"); return err },
			"Update": func() error { _, err := store.Update(ctx, "1", func(*talk) error { return nil }); return err },
			"Transition": func() error {
				_, err := state.Transition(ctx, "1", waitingForLLM, waitingForLLM)
				return err
			},
		} {
			time.Sleep(4 * time.Minute)
			if err := change(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			v, err := store.Get(ctx, "1")
			if err != nil || left(t, s, "1") != 5*time.Minute || !v.Last.Equal(time.Now().Truncate(time.Millisecond)) {
				t.Errorf("after %s: TTL %v, last activity %v at %v, %v", name, left(t, s, "1"), v.Last, time.Now(), err)
			}
		}
		time.Sleep(5*time.Minute - time.Millisecond)
		for range store.All(ctx) {
		}
		_, err := store.Get(ctx, "1")
		n, err2 := store.Count(ctx)
		if err != nil || err2 != nil || n != 1 || left(t, s, "1") != time.Millisecond {
			t.Errorf("Get: %v, Count: %d, %v; TTL %v", err, n, err2, left(t, s, "1"))
		}
		time.Sleep(time.Millisecond)
		if _, err := store.Get(ctx, "1"); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Get after the TTL: %v", err)
		}
	})
}

func TestTouchReturnsTheSessionAsItIs(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		create(t, store, "1", aTalk())
		s.Client().HSet(ctx, keyOf(s, "1"), "n", 7)
		touched, err := store.Touch(ctx, "1")
		got, err2 := store.Get(ctx, "1")
		if err != nil || err2 != nil || touched.N != 7 || touched != got {
			t.Errorf("Touch returned %+v, %v; Get %+v, %v", touched, err, got, err2)
		}
	})
}

func TestLastActivityNeverGoesBackwards(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		for name, call := range calls(t, store) {
			if name == "Create" || name == "Delete" {
				continue
			}
			// A service whose clock is an hour ahead was here.
			ahead := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
			otherProgram(t, s, name, "speaker_id", "user_1", "state", "waiting_for_llm", "last_activity", ahead)
			if err := call(ctx, name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if last := hash(t, s, name)["last_activity"]; last != ahead {
				t.Errorf("%s moved last_activity from %s to %s", name, ahead, last)
			}
			if name == "Get" {
				continue
			}
			// These are no times, or none that a Date can hold.
			for _, text := range []string{"canary", "", "-1", "1e15", "1764000000000000", "0x7fffffffffffffff"} {
				otherProgram(t, s, name, "speaker_id", "user_1", "state", "waiting_for_llm", "last_activity", text)
				if name == "Update" { // what it cannot read it does not change
					store.Touch(ctx, name)
				}
				err := call(ctx, name)
				last, parseErr := strconv.ParseInt(hash(t, s, name)["last_activity"], 10, 64)
				if off := time.Since(time.UnixMilli(last)); err != nil || parseErr != nil || off < -time.Minute || off > time.Minute {
					t.Errorf("%s over %q: %v, last_activity %d", name, text, err, last)
				}
			}
		}
	})
}

func TestWhatTheCallerPutsInTheTouchFieldIsIgnored(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		mine := aTalk()
		mine.Last = time.UnixMilli(1)
		create(t, store, "1", mine)
		put := mine
		put.Last = time.Now().Add(24 * time.Hour)
		if err := store.Put(ctx, "1", put); err != nil {
			t.Fatal(err)
		}
		v, err := store.Update(ctx, "1", func(v *talk) error { v.Last = time.Time{}; return nil })
		if off := time.Since(v.Last); err != nil || off < -time.Minute || off > time.Minute {
			t.Errorf("last activity %v, %v", v.Last, err)
		}
	})
}

func TestMaxLifetimeEndsTheBusiestSession(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		store := newStore[talk](t, s, ttl(5*time.Minute), lifetime(time.Hour))
		ctx, state := t.Context(), stateOf(t, store)
		start := time.Now()
		create(t, store, "1", aTalk())
		turn := 0
		for time.Since(start) < time.Hour-time.Millisecond {
			time.Sleep(min(time.Minute, time.Until(start.Add(time.Hour-time.Millisecond))))
			turn++
			var err error
			switch turn % 4 {
			case 0:
				err = store.Put(ctx, "1", aTalk())
			case 1:
				_, err = store.Touch(ctx, "1")
			case 2:
				_, err = store.Update(ctx, "1", func(v *talk) error { v.N++; return nil })
			case 3:
				_, err = state.Transition(ctx, "1", waitingForLLM, waitingForLLM)
			}
			want := min(5*time.Minute, time.Until(start.Add(time.Hour)))
			if err != nil || left(t, s, "1") != want {
				t.Fatalf("after %v: %v, TTL %v, want %v", time.Since(start), err, left(t, s, "1"), want)
			}
		}
		time.Sleep(time.Millisecond)
		gone(t, s, "1")
		create(t, store, "1", aTalk())
		if until := hash(t, s, "1")["_until"]; until != strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10) {
			t.Errorf("the next session of the id ends at %s, at %d", until, time.Now().UnixMilli())
		}
	})
}

// EXPIRE by a service that knows nothing of MaxLifetime does not lengthen it.
func TestASessionThatIsKeptBeyondItsMaxLifetimeIsNotFound(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		store := newStore[talk](t, s, lifetime(time.Hour))
		unlimited := newStore[talk](t, s)
		ctx, rdb := t.Context(), s.Client()
		for _, of := range []*session.Store[talk]{store, unlimited} {
			for name, call := range calls(t, of) {
				if name == "Create" || name == "Put" {
					continue
				}
				create(t, store, name, aTalk())
				rdb.Expire(ctx, keyOf(s, name), 24*time.Hour)
				time.Sleep(time.Hour)
				for range of.All(ctx) {
					t.Error("All yields a session that has ended")
				}
				if err := call(ctx, name); !errors.Is(err, session.ErrNotFound) && name != "Delete" {
					t.Errorf("%s: %v", name, err)
				}
				if name != "Get" && name != "Update" { // these only read it
					gone(t, s, name)
				}
				rdb.Del(ctx, keyOf(s, name))
			}
		}
		create(t, store, "1", aTalk())
		rdb.Expire(ctx, keyOf(s, "1"), 24*time.Hour)
		time.Sleep(time.Hour)
		create(t, store, "1", aTalk()) // as if the old one were not there
		if end := hash(t, s, "1")["_until"]; end != strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10) {
			t.Errorf("a new session ends at %q", end)
		}
		rdb.Expire(ctx, keyOf(s, "1"), 24*time.Hour)
		time.Sleep(time.Hour)
		if err := store.Put(ctx, "1", aTalk()); err != nil || left(t, s, "1") != time.Minute {
			t.Errorf("Put: %v, TTL %v", err, left(t, s, "1"))
		}
		rdb.Del(ctx, keyOf(s, "1"))
	})
}

func TestOtherProgramsMayKeepLoseOrRestoreMaxLifetime(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		store := newStore[talk](t, s, lifetime(time.Hour))
		ctx, rdb := t.Context(), s.Client()
		until := func() string { return hash(t, s, "1")["_until"] }
		inAnHour := func() string { return strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10) }
		touch := func() {
			t.Helper()
			if _, err := store.Touch(ctx, "1"); err != nil {
				t.Fatal(err)
			}
		}

		create(t, store, "1", aTalk())
		first := inAnHour()
		time.Sleep(time.Second)
		otherProgram(t, s, "1", "state", "answered") // HSET leaves it
		touch()
		if got := until(); got != first {
			t.Errorf("after an HSET by another program: %s, want %s", got, first)
		}

		rdb.Del(ctx, keyOf(s, "1")) // DEL takes it along
		otherProgram(t, s, "1", "speaker_id", "user_1", "state", "answered")
		if _, err := store.Get(ctx, "1"); err != nil || until() != "" {
			t.Errorf("a session of another program: %v, _until %q", err, until())
		}
		time.Sleep(time.Second)
		touch() // the first change gives it one
		if got := until(); got != inAnHour() {
			t.Errorf("after the first change: %s, want %s", got, inAnHour())
		}

		for _, text := range []string{"canary", "", "-1", "1e99", "0x10", "9999999999999999999"} {
			rdb.HSet(ctx, keyOf(s, "1"), "_until", text)
			if _, err := store.Get(ctx, "1"); err != nil {
				t.Errorf("Get with _until %q: %v", text, err)
			}
			touch()
			if got := until(); got != inAnHour() || left(t, s, "1") != time.Minute {
				t.Errorf("_until %q became %s, TTL %v", text, got, left(t, s, "1"))
			}
		}

		// A store without the setting keeps to what it finds, and sets none.
		unlimited := newStore[talk](t, s)
		rdb.HSet(ctx, keyOf(s, "1"), "_until", time.Now().Add(time.Second).UnixMilli())
		if _, err := unlimited.Touch(ctx, "1"); err != nil || left(t, s, "1") != time.Second {
			t.Errorf("Touch without MaxLifetime: %v, TTL %v", err, left(t, s, "1"))
		}
		create(t, unlimited, "2", aTalk())
		if end, ok := hash(t, s, "2")["_until"]; ok {
			t.Errorf("without MaxLifetime _until is %s", end)
		}
	})
}

func TestAFullServerStillTouchesAndDeletes(t *testing.T) {
	t.Parallel()
	rdb, ctx := redistest.Start(t, "--maxmemory-policy", "noeviction").Client(), t.Context()
	store, err := session.New[talk](rdb, session.Config{Key: "session:*", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	create(t, store, "1", aTalk())
	before := rdb.HGetAll(ctx, "session:1").Val()
	rdb.ConfigSet(ctx, "maxmemory", "1")
	for name, id := range map[string]string{"Create": "2", "Put": "2", "Update": "1", "Transition": "1"} {
		if err := calls(t, store)[name](ctx, id); !redis.HasErrorPrefix(err, "OOM") || errors.Is(err, session.ErrUncertain) {
			t.Errorf("%s on a full server: %v", name, err)
		}
	}
	if after := rdb.HGetAll(ctx, "session:1").Val(); !maps.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
	if _, err := store.Touch(ctx, "1"); err != nil {
		t.Errorf("Touch on a full server: %v", err)
	}
	if err := store.Delete(ctx, "1"); err != nil {
		t.Errorf("Delete on a full server: %v", err)
	}
	if left := rdb.Keys(ctx, "session:*").Val(); len(left) != 0 {
		t.Errorf("%q are left", left)
	}
}
