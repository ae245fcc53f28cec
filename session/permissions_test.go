package session_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// What the package's documentation says that a user needs is enough.
func TestTheDocumentedPermissionsSuffice(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		user := "user-" + s.Prefix()
		grant := "ACL SETUSER " + user + " on >pw" +
			" +@scripting +@connection +hget +hmget +hgetall +hlen +hset +hdel +exists +del +set +pexpire +time +scan" +
			" ~" + s.Prefix() + ":* ~rediskit:*"
		var words []any
		for _, word := range strings.Fields(grant) {
			words = append(words, word)
		}
		if err := s.Client().Do(t.Context(), words...).Err(); err != nil {
			t.Fatal(err)
		}
		defer s.Client().Do(context.Background(), "ACL", "DELUSER", user)
		rdb := s.Client(func(o *redis.Options) { o.Username, o.Password = user, "pw" })
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
