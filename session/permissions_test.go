package session_test

import (
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
)

// What the package's documentation says that a user needs is enough.
func TestTheDocumentedPermissionsSuffice(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		_, limited := s.User("+@scripting +@connection +hget +hmget +hgetall +hlen +hset +hdel +exists +del +set +pexpire +time +scan" +
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
