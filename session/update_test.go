package session_test

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

func TestUpdateWritesOnlyWhatFnChanged(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		// Fields that S lacks, numbers in another notation and absent fields are left alone.
		otherProgram(t, s, "1", "speaker_id", "user_1", "state", "waiting_for_llm", "n", "007", "started_at", "+5", "theirs", "x", "note", "old")
		want := hash(t, s, "1")
		delete(want, "note")
		want["state"] = "answered"
		v, err := store.Update(ctx, "1", func(v *talk) error {
			if v.N != 7 || *v.Note != "old" {
				t.Errorf("fn got %+v", v)
			}
			v.State, v.Note = answered, nil
			return nil
		})
		got := hash(t, s, "1")
		delete(got, "last_activity")
		if err != nil || !maps.Equal(got, want) || v.State != answered || v.N != 7 {
			t.Errorf("%v, %v\ngot  %v\nwant %v", v, err, got, want)
		}
	})
}

func TestUpdateReturnsWhatTheNextGetReads(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		create(t, store, "1", aTalk())
		updated, err := store.Update(ctx, "1", func(v *talk) error {
			v.Started = time.Now() // with a zone, nanoseconds and a monotonic reading
			return nil
		})
		got, err2 := store.Get(ctx, "1")
		if err != nil || err2 != nil || updated != got {
			t.Errorf("Update returned %+v, %v\nGet  %+v, %v", updated, err, got, err2)
		}
	})
}

func TestAnUpdateThatRemovesTheLastFieldKeepsTheSession(t *testing.T) {
	t.Parallel()
	type note struct {
		Text *string `redis:"text"`
		N    int     `redis:"n"`
	}
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[note](t, s), t.Context()
		otherProgram(t, s, "1", "text", "x") // n is missing and reads as 0
		v, err := store.Update(ctx, "1", func(v *note) error { v.Text = nil; return nil })
		if err != nil || v != (note{}) || left(t, s, "1") <= 0 {
			t.Errorf("%+v, %v, hash %v, TTL %v", v, err, hash(t, s, "1"), left(t, s, "1"))
		}
	})
}

// All that fn saw is as absent as before, and yet there is no session any more.
func TestAnUpdateOfFieldsThatAreAllAbsentBringsNothingBack(t *testing.T) {
	t.Parallel()
	type note struct {
		N int `redis:"n"`
	}
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[note](t, s), t.Context()
		otherProgram(t, s, "1", "theirs", "x")
		_, err := store.Update(ctx, "1", func(v *note) error {
			v.N++
			s.Client().Del(ctx, keyOf(s, "1"))
			return nil
		})
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Update: %v", err)
		}
		gone(t, s, "1")
	})
}

func TestAnErrorOfFnPassesWholeAndSendsNothing(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, ctx := s.Client(), t.Context()
		store := newStoreOn[talk](t, s, rdb)
		create(t, store, "1", aTalk())
		before, roundTrips := hash(t, s, "1"), redistest.Trips(rdb)
		mine := errors.New("mine")
		if v, err := store.Update(ctx, "1", func(v *talk) error { v.N++; return mine }); err != mine || v != (talk{}) {
			t.Errorf("Update: %v, %v; want fn's own error", v, err)
		}
		if n := roundTrips.Take(); n != 1 || !maps.Equal(before, hash(t, s, "1")) {
			t.Errorf("%d round trips, %v became %v", n, before, hash(t, s, "1"))
		}
	})
}

func TestUpdatesOfManyLoseNothing(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		ctx := t.Context()
		create(t, newStore[talk](t, s), "1", aTalk())
		const writers, each = 8, 25
		var wg sync.WaitGroup
		for i := range writers {
			store := newStore[talk](t, s)
			wg.Go(func() {
				for range each {
					if i == 0 { // a writer in another language
						s.Client().HIncrBy(ctx, keyOf(s, "1"), "n", 1)
					} else if _, err := store.Update(ctx, "1", func(v *talk) error { v.N++; return nil }); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := hash(t, s, "1")["n"]; got != strconv.Itoa(writers*each) {
			t.Errorf("n = %s, want %d", got, writers*each)
		}
	})
}

func TestUpdateSeesEveryWriteOfAnotherProgramToAFieldOfS(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, ctx := s.Client(), t.Context()
		store := newStore[talk](t, s)
		for name, write := range map[string]func(key string){
			"another field is set":   func(key string) { rdb.HSet(ctx, key, "speaker_id", "user_2") },
			"an absent field is set": func(key string) { rdb.HSet(ctx, key, "note", "n") },
			"a field is removed":     func(key string) { rdb.HDel(ctx, key, "started_at") },
			"the session is another": func(key string) {
				rdb.Del(ctx, key)
				otherProgram(t, s, "the session is another", "speaker_id", "user_3", "state", "answered")
			},
		} {
			create(t, store, name, aTalk())
			runs := 0
			_, err := store.Update(ctx, name, func(v *talk) error {
				if runs++; runs == 1 {
					write(keyOf(s, name))
				}
				v.N++
				return nil
			})
			if err != nil || runs != 2 || hash(t, s, name)["n"] != "1" {
				t.Errorf("%s: %v, fn ran %d times, %v", name, err, runs, hash(t, s, name))
			}
		}
		if got := store.Stats().Retries; got != 4 {
			t.Errorf("%d retries counted", got)
		}
	})
}

func TestTouchesAndFieldsOfOtherProgramsDoNotDelayAnUpdate(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		create(t, store, "1", aTalk())
		runs := 0
		_, err := store.Update(ctx, "1", func(v *talk) error {
			runs++
			s.Advance(2 * time.Millisecond)
			if _, err := store.Touch(ctx, "1"); err != nil {
				t.Error(err)
			}
			s.Client().HSet(ctx, keyOf(s, "1"), "theirs", runs)
			v.N++
			return nil
		})
		if err != nil || runs != 1 {
			t.Errorf("%v, fn ran %d times", err, runs)
		}
	})
}

func TestAnUpdateThatAlwaysMeetsAnotherWriterEndsWithItsContext(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store := newStore[talk](t, s)
		create(t, store, "1", aTalk())
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		runs := 0
		_, err := store.Update(ctx, "1", func(v *talk) error {
			s.Client().HIncrBy(t.Context(), keyOf(s, "1"), "n", 1)
			v.State = answered
			if runs++; runs == 3 {
				time.AfterFunc(time.Millisecond, cancel)
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) || runs < 3 {
			t.Errorf("%v after %d runs", err, runs)
		}
		if got := hash(t, s, "1")["state"]; got != "waiting_for_llm" {
			t.Errorf("the state is %s", got)
		}
	})
}

// What is compared and written are texts: no number passes through Lua.
func TestUpdateKeepsNumbersThatLuaCannotHold(t *testing.T) {
	t.Parallel()
	type numbers struct {
		I int64   `redis:"i"`
		U uint64  `redis:"u"`
		X float64 `redis:"x"`
		B bool    `redis:"b"`
	}
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[numbers](t, s), t.Context()
		want := numbers{I: 1<<63 - 1, U: 1<<64 - 1, X: 0.1 + 0.2}
		create(t, store, "1", want)
		for i := range 5 {
			want.I, want.U, want.X, want.B = want.I-1, want.U-1, want.X/3, i%2 == 0
			got, err := store.Update(ctx, "1", func(v *numbers) error { *v = want; return nil })
			if err != nil || got != want {
				t.Errorf("%+v, %v; want %+v", got, err, want)
			}
		}
	})
}
