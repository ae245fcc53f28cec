package session_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

// What the package's documentation says that a user needs is enough.
func TestTheDocumentedPermissionsSuffice(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		_, limited := s.User("+@scripting +@connection +hgetall +hset +hdel +exists +del +set +pexpire +time +scan" +
			" ~" + s.Prefix() + ":* ~rediskit:*")
		rdb := s.Client(limited)
		store := newStoreOn[talk](t, s, rdb, lifetime(time.Hour))
		every := calls(t, store)
		for _, name := range []string{"Create", "Get", "Touch", "Update", "Transition", "Put"} {
			if err := every[name](t.Context(), "1"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		note := "a field that is removed again"
		for _, note := range []*string{&note, nil} {
			if _, err := store.Update(t.Context(), "1", func(v *talk) error { v.Note = note; return nil }); err != nil {
				t.Errorf("Update: %v", err)
			}
		}
		if found := collect(t, store); len(found) != 1 {
			t.Errorf("All yields %d sessions, want 1", len(found))
		}
		if err := every["Delete"](t.Context(), "1"); err != nil {
			t.Errorf("Delete: %v", err)
		}
	})
}

// Beside those, Replicas need WAIT. Here is no replica, so a change is made and unreplicated.
func TestReplicasNeedThePermissionToWait(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		const rules = "+@scripting +@connection +hgetall +hset +hdel +exists +del +set +pexpire +time"
		for _, wait := range []string{"+wait", "-wait"} {
			_, limited := s.User(rules + " " + wait + " ~" + s.Prefix() + ":* ~rediskit:*")
			store := newStoreOn[talk](t, s, s.Client(limited), replicas(1, time.Millisecond))
			err := store.Put(t.Context(), "1", aTalk())
			if denied := strings.Contains(fmt.Sprint(err), "NOPERM"); !errors.Is(err, session.ErrUnreplicated) || denied != (wait == "-wait") {
				t.Errorf("with %s: %v", wait, err)
			}
		}
	})
}

// Redis checks permissions at each command of a script, after others have written.
func TestAChangeThatAnACLStopsInItsMidstIsUncertain(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		_, limited := s.User("+@all -pexpire ~" + s.Prefix() + ":* ~rediskit:*")
		store := newStoreOn[talk](t, s, s.Client(limited))
		create(t, newStore[talk](t, s), "1", aTalk())
		_, err := store.Update(t.Context(), "1", func(v *talk) error { v.N++; return nil })
		if n := hash(t, s, "1")["n"]; n != "1" || !errors.Is(err, session.ErrUncertain) {
			t.Errorf("Update = %v, and n is %s", err, n)
		}
		if got := store.Stats(); got.Uncertain != 1 || got.Resent != 0 {
			t.Errorf("%+v, want no second copy, which would be told a conflict", got)
		}
	})
}
