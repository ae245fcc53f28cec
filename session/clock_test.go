package session_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/wall"
)

// A store's first guess at the server's time is this machine's, which may be wrong by
// an hour. The test is not parallel: the clock is the whole process's.
func TestAFirstGuessAtTheTimeMayBeWrong(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			wall.SetAhead(ahead)
			defer wall.SetAhead(0)
			began, ctx := time.Now(), t.Context()
			create(t, newStore[talk](t, s, lifetime(2*time.Hour)), "1", aTalk())
			touch := func() error { _, err := newStore[talk](t, s).Touch(ctx, "1"); return err }
			update := func() error {
				_, err := newStore[talk](t, s).Update(ctx, "1", func(v *talk) error { v.N++; return nil })
				return err
			}
			transition := func() error {
				_, err := stateOf(t, newStore[talk](t, s)).Transition(ctx, "1", aTalk().State, "answered")
				return err
			}
			for i, change := range []func() error{touch, update, transition} {
				time.Sleep(30 * time.Second)
				if err := change(); err != nil {
					t.Errorf("ahead by %v, change %d: %v", ahead, i, err)
				}
				if ttl := left(t, s, "1"); ttl != time.Minute {
					t.Errorf("ahead by %v, change %d: a TTL of %v, want a minute", ahead, i, ttl)
				}
			}
			fields := hash(t, s, "1")
			if want := fmt.Sprint(began.Add(2 * time.Hour).UnixMilli()); fields["_until"] != want || fields["n"] != "1" {
				t.Errorf("ahead by %v: %v, want _until %s", ahead, fields, want)
			}
		})
	}
}
