package session_test

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

func TestATransitionOfManyHasOneWinner(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		create(t, newStore[talk](t, s), "1", aTalk())
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			rdb := s.Client(func(o *redis.Options) { o.MaxRetries = 3 })
			state := stateOf(t, newStoreOn[talk](t, s, rdb))
			wg.Go(func() {
				v, err := state.Transition(t.Context(), "1", waitingForLLM, answered)
				var conflict *session.ConflictError[phase]
				switch {
				case err == nil && v.State == answered && v.Speaker == "user_1":
					won.Add(1)
				case errors.As(err, &conflict) && conflict.Now == answered && errors.Is(err, session.ErrConflict):
					lost.Add(1)
				default:
					t.Errorf("%+v, %v", v, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 19 {
			t.Errorf("%d won and %d lost", won.Load(), lost.Load())
		}
	})
}

func TestAConflictSaysWhatIsThereOutsideItsTextAndChangesNothing(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store := newStore[talk](t, s)
		state := stateOf(t, store)
		otherProgram(t, s, "1", "speaker_id", "user_1", "state", "canary", "last_activity", "1")
		s.Client().Expire(t.Context(), keyOf(s, "1"), 30*time.Second)
		_, err := state.Transition(t.Context(), "1", waitingForLLM, answered)
		var conflict *session.ConflictError[phase]
		if !errors.As(err, &conflict) || conflict.Now != "canary" || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v", err)
		}
		if got := hash(t, s, "1"); got["state"] != "canary" || got["last_activity"] != "1" || left(t, s, "1") > 30*time.Second {
			t.Errorf("the loser changed it: %v, TTL %v", got, left(t, s, "1"))
		}
		if st := store.Stats(); st.Conflicts != 1 || st.Transitions != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAMissingFieldHasItsZeroValue(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		n, err := session.FieldOf[int](store, "n")
		if err != nil {
			t.Fatal(err)
		}
		otherProgram(t, s, "1", "speaker_id", "user_1", "state", "answered")
		var conflict *session.ConflictError[int]
		if _, err := n.Transition(ctx, "1", 1, 2); !errors.As(err, &conflict) || conflict.Now != 0 {
			t.Errorf("from 1 although it is missing: %v", err)
		}
		for _, held := range []string{"", "0"} { // missing, then there
			if held != "" {
				s.Client().HSet(ctx, keyOf(s, "1"), "n", held)
			}
			if v, err := n.Transition(ctx, "1", 0, 3); err != nil || v.N != 3 {
				t.Errorf("from 0, held as %q: %+v, %v", held, v, err)
			}
		}
		s.Client().HSet(ctx, keyOf(s, "1"), "n", "canary")
		if _, err := n.Transition(ctx, "1", 1, 2); !errors.Is(err, session.ErrCorrupt) || !strings.Contains(err.Error(), "field N ") {
			t.Errorf("from 1 although it is no number: %v", err)
		}
	})
}

func TestFieldOfNamesWhatIsNoStateOfS(t *testing.T) {
	t.Parallel()
	type odd struct {
		At   time.Time  `redis:"at"`
		Note *string    `redis:"note"`
		N    int        `redis:"n,omitempty"`
		Addr netip.Addr `redis:"addr"`
	}
	s := redistest.Mini(t)
	store, talks := newStore[odd](t, s), newStore[talk](t, s)
	for want, err := range map[string]error{
		"session_test.talk has no field":      fieldErr[string](talks, "canary"),
		"field State is a session_test.phase": fieldErr[string](talks, "state"),
		"field At may have no text":           fieldErr[time.Time](store, "at"),
		"field Note may have no text":         fieldErr[*string](store, "note"),
		"field N may have no text":            fieldErr[int](store, "n"),
		"field Last may have no text":         fieldErr[time.Time](talks, "last_activity"),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), "session: FieldOf: "+want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if err := fieldErr[netip.Addr](store, "addr"); err != nil {
		t.Error(err)
	}
}

func fieldErr[F, S any](s *session.Store[S], name string) error {
	_, err := session.FieldOf[F](s, name)
	return err
}
