package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// A talk is what most tests store: a conversation with a counter, and with a
// field that may be absent.
type talk struct {
	Speaker string    `redis:"speaker_id,required"`
	Started time.Time `redis:"started_at"`
	Last    time.Time `redis:"last_activity,touch"`
	State   phase     `redis:"state,required"`
	N       int       `redis:"n"`
	Note    *string   `redis:"note"`
}

func aTalk() talk {
	return talk{Speaker: "user_1", Started: time.UnixMilli(1764000000000).UTC(), State: waitingForLLM}
}

// newStore makes a store over a client of its own, as another process would,
// with keys of the test's own. When the test ends, no key may be without a TTL.
func newStore[S any](t testing.TB, s *redistest.Server, set ...func(*session.Config)) *session.Store[S] {
	t.Helper()
	return newStoreOn[S](t, s, s.Client(), set...)
}

func newStoreOn[S any](t testing.TB, s *redistest.Server, rdb redis.UniversalClient, set ...func(*session.Config)) *session.Store[S] {
	t.Helper()
	cfg := session.Config{Key: s.Prefix() + ":session:*", TTL: time.Minute}
	for _, f := range set {
		f(&cfg)
	}
	store, err := session.New[S](rdb, cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { s.NoImmortals(t) })
	return store
}

func ttl(d time.Duration) func(*session.Config) { return func(c *session.Config) { c.TTL = d } }

func lifetime(d time.Duration) func(*session.Config) {
	return func(c *session.Config) { c.MaxLifetime = d }
}

func keyOf(s *redistest.Server, id string) string { return s.Prefix() + ":session:" + id }

// stateOf is how talks go from one state to another.
func stateOf(t testing.TB, store *session.Store[talk]) *session.Field[phase, talk] {
	t.Helper()
	f, err := session.FieldOf[phase](store, "state")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func create[S any](t testing.TB, store *session.Store[S], id string, v S) {
	t.Helper()
	if err := store.Create(context.Background(), id, v); err != nil {
		t.Fatalf("Create: %v", err)
	}
}

// hash is what Redis holds under id's key.
func hash(t testing.TB, s *redistest.Server, id string) map[string]string {
	t.Helper()
	fields, err := s.Client().HGetAll(context.Background(), keyOf(s, id)).Result()
	if err != nil {
		t.Fatal(err)
	}
	return fields
}

// gone fails the test if there is anything under id's key.
func gone(t testing.TB, s *redistest.Server, id string) {
	t.Helper()
	if n := s.Client().Exists(context.Background(), keyOf(s, id)).Val(); n != 0 {
		t.Errorf("EXISTS %d, want no session: %v", n, hash(t, s, id))
	}
}

// left is the TTL of id's key.
func left(t testing.TB, s *redistest.Server, id string) time.Duration {
	t.Helper()
	return s.Client().PTTL(context.Background(), keyOf(s, id)).Val()
}

// otherProgram writes a session as a service in another language does.
func otherProgram(t testing.TB, s *redistest.Server, id string, fields ...any) {
	t.Helper()
	rdb, ctx := s.Client(), context.Background()
	rdb.HSet(ctx, keyOf(s, id), fields...)
	rdb.Expire(ctx, keyOf(s, id), time.Minute)
}
