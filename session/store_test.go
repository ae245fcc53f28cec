package session_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

func TestASessionIsTheHashThatServicesInTypeScriptWrite(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[conversation](t, s, ttl(5*time.Minute)), t.Context()
		before := s.Client().Time(ctx).Val().UnixMilli()
		create(t, store, "c1", conversation{SpeakerID: "user_1", StartedAt: time.UnixMilli(1764000000000), State: waitingForLLM})
		got := hash(t, s, "c1")
		last := got["last_activity"]
		delete(got, "last_activity")
		want := map[string]string{"speaker_id": "user_1", "started_at": "1764000000000", "state": "waiting_for_llm"}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("hash %v, want %v", got, want)
		}
		v, err := store.Get(ctx, "c1")
		if err != nil || v.LastActivity.UnixMilli() < before || last != s.Client().HGet(ctx, keyOf(s, "c1"), "last_activity").Val() {
			t.Errorf("last_activity %s, %v, %v", last, v, err)
		}

		otherProgram(t, s, "c2", "speaker_id", "user_2", "started_at", "1764000000001", "last_activity", "1764000000002", "state", "answered", "extra", "x")
		v, err = store.Get(ctx, "c2")
		if err != nil || v != (conversation{
			SpeakerID: "user_2", StartedAt: time.UnixMilli(1764000000001).UTC(),
			LastActivity: time.UnixMilli(1764000000002).UTC(), State: answered,
		}) {
			t.Errorf("Get of a session of another program: %+v, %v", v, err)
		}
	})
}

func TestCreateRefusesAnIDThatHasASession(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		create(t, store, "1", aTalk())
		before := hash(t, s, "1")
		other := aTalk()
		other.Speaker = "other"
		if err := store.Create(ctx, "1", other); !errors.Is(err, session.ErrExists) {
			t.Errorf("Create over a session: %v", err)
		}
		if after := hash(t, s, "1"); !reflect.DeepEqual(after, before) {
			t.Errorf("%v became %v", before, after)
		}
	})
}

func TestPutReplacesAndLeavesNoStaleField(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		noted, note := aTalk(), "a note"
		noted.Note = &note
		create(t, store, "1", noted)
		s.Client().HSet(ctx, keyOf(s, "1"), "foreign", "x")
		if err := store.Put(ctx, "1", aTalk()); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"note", "foreign"} {
			if text, stale := hash(t, s, "1")[field]; stale {
				t.Errorf("the field %s still has %q", field, text)
			}
		}
		if err := store.Put(ctx, "2", aTalk()); err != nil || left(t, s, "2") <= 0 {
			t.Errorf("Put of a new session: %v, TTL %v", err, left(t, s, "2"))
		}
	})
}

func TestGetSaysNotFoundOfNothingAndChangesNothing(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		if v, err := store.Get(ctx, "1"); !errors.Is(err, session.ErrNotFound) || v != (talk{}) {
			t.Errorf("Get of nothing: %v, %v", v, err)
		}
		create(t, store, "1", aTalk())
		s.Client().PExpire(ctx, keyOf(s, "1"), 30*time.Second)
		before := hash(t, s, "1")
		if _, err := store.Get(ctx, "1"); err != nil {
			t.Fatal(err)
		}
		if after := hash(t, s, "1"); !reflect.DeepEqual(after, before) || left(t, s, "1") > 30*time.Second {
			t.Errorf("%v became %v, TTL %v", before, after, left(t, s, "1"))
		}
	})
}

func TestWhatIsNoSessionIsCorruptAndNamesTheField(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		for name, c := range map[string]struct {
			fields []any
			field  string
		}{
			"a required field is missing": {[]any{"speaker_id", "user_1", "n", "1"}, "State"},
			"a counter is no number":      {[]any{"speaker_id", "user_1", "state", "answered", "n", "canary"}, "N"},
			"a time is no number":         {[]any{"speaker_id", "user_1", "state", "answered", "started_at", "canary"}, "Started"},
			"a counter overflows":         {[]any{"speaker_id", "user_1", "state", "answered", "n", "9223372036854775808"}, "N"},
		} {
			otherProgram(t, s, name, c.fields...)
			before := hash(t, s, name)
			updates := func() error {
				_, err := store.Update(ctx, name, func(*talk) error { t.Error("fn was called"); return nil })
				return err
			}
			gets := func() error { _, err := store.Get(ctx, name); return err }
			for _, call := range []func() error{gets, updates} {
				err := call()
				if !errors.Is(err, session.ErrCorrupt) || !strings.Contains(err.Error(), "field "+c.field+" ") {
					t.Errorf("%s: %v", name, err)
				}
				if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "92233") {
					t.Errorf("%s: the error tells a value: %v", name, err)
				}
			}
			if after := hash(t, s, name); !reflect.DeepEqual(before, after) {
				t.Errorf("%s: %v became %v", name, before, after)
			}
		}
	})
}

func TestDeleteRemovesASessionOrNothing(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		create(t, store, "1", aTalk())
		for range 2 {
			if err := store.Delete(ctx, "1"); err != nil {
				t.Errorf("Delete: %v", err)
			}
			gone(t, s, "1")
		}
		create(t, store, "1", aTalk())
	})
}

func TestAKeyOfAnotherTypeIsAClearErrorAndStays(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		rdb, key := s.Client(), keyOf(s, "1")
		rdb.Set(ctx, key, "text", time.Minute)
		for name, call := range calls(t, store) {
			if err := call(ctx, "1"); !errors.Is(err, session.ErrWrongType) {
				t.Errorf("%s: %v, want ErrWrongType", name, err)
			}
		}
		if got := rdb.Get(ctx, key).Val(); got != "text" {
			t.Errorf("the key has %q", got)
		}
		for entry, err := range store.All(ctx) {
			if entry.ID != "1" || !errors.Is(err, session.ErrWrongType) {
				t.Errorf("All: %v, %v", entry, err)
			}
		}
	})
}

// calls are all that can be done with one session.
func calls(t testing.TB, store *session.Store[talk]) map[string]func(context.Context, string) error {
	state := stateOf(t, store)
	return map[string]func(context.Context, string) error{
		"Create": func(ctx context.Context, id string) error { return store.Create(ctx, id, aTalk()) },
		"Put":    func(ctx context.Context, id string) error { return store.Put(ctx, id, aTalk()) },
		"Get":    func(ctx context.Context, id string) error { _, err := store.Get(ctx, id); return err },
		"Touch":  func(ctx context.Context, id string) error { _, err := store.Touch(ctx, id); return err },
		"Update": func(ctx context.Context, id string) error {
			_, err := store.Update(ctx, id, func(v *talk) error { v.N++; return nil })
			return err
		},
		"Transition": func(ctx context.Context, id string) error {
			_, err := state.Transition(ctx, id, waitingForLLM, answered)
			return err
		},
		"Delete": func(ctx context.Context, id string) error { return store.Delete(ctx, id) },
	}
}

func TestAnEmptyIDAndAnEndedContextAreErrorsBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		store := newStoreOn[talk](t, s, rdb)
		roundTrips := redistest.Trips(rdb)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range calls(t, store) {
			if err := call(t.Context(), ""); !errors.Is(err, session.ErrEmptyID) {
				t.Errorf("%s of an empty id: %v", name, err)
			}
			if err := call(ended, "1"); !errors.Is(err, context.Canceled) || errors.Is(err, session.ErrUncertain) {
				t.Errorf("%s after the end of its context: %v", name, err)
			}
		}
		if n := roundTrips.Take(); n != 0 {
			t.Errorf("%d round trips", n)
		}
	})
}

func TestErrorsHoldNoKeyIDOrValue(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s, func(c *session.Config) { c.Name = "talks" }), t.Context()
		s.Client().Set(ctx, keyOf(s, "canary"), "canary", time.Minute)
		otherProgram(t, s, "canary2", "speaker_id", "canary", "state", "canary", "n", "0")
		var errs []error
		for name, call := range calls(t, store) {
			errs = append(errs, call(ctx, "canary"))
			if name == "Create" || name == "Transition" {
				errs = append(errs, call(ctx, "canary2"))
			}
		}
		for _, err := range errs {
			if err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), s.Prefix()) || !strings.HasPrefix(err.Error(), "session: ") {
				t.Errorf("error %v", err)
			}
		}
	})
}

func TestWhatCannotBeStoredIsInvalidBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	type due struct {
		At   time.Time `redis:"at,required"`
		Note *string   `redis:"note"`
		Last time.Time `redis:"last,touch,required"`
	}
	type notes struct {
		Note *string   `redis:"note"`
		Last time.Time `redis:"last,touch"`
	}
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, ctx := s.Client(), t.Context()
		dues, note := newStoreOn[due](t, s, rdb), newStoreOn[notes](t, s, rdb)
		create(t, dues, "1", due{At: time.UnixMilli(1)})
		text := "n"
		create(t, note, "2", notes{Note: &text})
		roundTrips := redistest.Trips(rdb)
		for name, err := range map[string]error{
			"a required time is zero":  dues.Create(ctx, "3", due{}),
			"a time is in year 300000": dues.Put(ctx, "3", due{At: time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC)}),
			"no field has a value":     note.Put(ctx, "3", notes{Last: time.UnixMilli(1)}),
		} {
			if !errors.Is(err, session.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := roundTrips.Take(); n != 0 {
			t.Errorf("%d round trips", n)
		}
		_, err := dues.Update(ctx, "1", func(v *due) error { v.At = time.Time{}; return nil })
		_, err2 := note.Update(ctx, "2", func(v *notes) error { v.Note = nil; return nil })
		for _, err := range []error{err, err2} {
			if !errors.Is(err, session.ErrInvalid) {
				t.Errorf("Update to what cannot be stored: %v", err)
			}
		}
		if n := roundTrips.Take(); n != 2 {
			t.Errorf("%d round trips, want the two reads", n)
		}
	})
}

func TestAHashOfAnotherProgramWithoutATTLGetsOneFromTheFirstChange(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		rdb := s.Client()
		for name, call := range calls(t, store) {
			rdb.HSet(ctx, keyOf(s, name), "speaker_id", "user_1", "state", "waiting_for_llm")
			err := call(ctx, name)
			switch want := left(t, s, name); name {
			case "Get", "Create":
				if (name == "Get") != (err == nil) || want != -1 {
					t.Errorf("%s: %v, TTL %v; want no change", name, err, want)
				}
				rdb.Del(ctx, keyOf(s, name))
			case "Delete":
				gone(t, s, name)
			default:
				if err != nil || want <= 0 || want > time.Minute {
					t.Errorf("%s: %v, TTL %v", name, err, want)
				}
			}
		}
	})
}

func TestNewNamesWhatIsWrongWithItsConfig(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client(func(o *redis.Options) { o.ReadTimeout = 80 * time.Millisecond })
	for want, cfg := range map[string]session.Config{
		"Config.Key is empty":               {TTL: time.Minute},
		"Config.Key has no '*'":             {Key: "session", TTL: time.Minute},
		"Config.TTL is 0s":                  {Key: "session:*"},
		"Config.TTL is 999.999µs":           {Key: "session:*", TTL: time.Millisecond - 1},
		"Config.MaxLifetime is 30s; it mus": {Key: "session:*", TTL: time.Minute, MaxLifetime: 30 * time.Second},
		"Config.MaxLifetime is -1ns":        {Key: "session:*", TTL: time.Minute, MaxLifetime: -1},
		"Config.Replicas.N is -1":           {Key: "session:*", TTL: time.Minute, Replicas: session.Replicas{N: -1}},
		"Config.Replicas.Timeout is 1µs":    {Key: "session:*", TTL: time.Minute, Replicas: session.Replicas{Timeout: time.Microsecond}},
		"Config.Replicas.Timeout is 100ms; it must be shorter than the client's ReadTimeout, 80ms": {Key: "session:*", TTL: time.Minute, Replicas: session.Replicas{N: 1}},
	} {
		if _, err := session.New[talk](rdb, cfg); err == nil || !strings.HasPrefix(err.Error(), "session: "+want) {
			t.Errorf("%+v: %v, want %q", cfg, err, want)
		}
	}
	if _, err := session.New[talk](nil, session.Config{Key: "session:*", TTL: time.Minute}); err == nil {
		t.Error("New takes no client")
	}
	type until struct {
		End int64 `redis:"_until"`
	}
	type lists struct {
		Tags []string `redis:"tags"`
	}
	for want, err := range map[string]error{
		"field End ":  newErr[until](rdb),
		"field Tags ": newErr[lists](rdb),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "session: New: "+want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func newErr[S any](rdb redis.UniversalClient) error {
	_, err := session.New[S](rdb, session.Config{Key: "session:*", TTL: time.Minute})
	return err
}
