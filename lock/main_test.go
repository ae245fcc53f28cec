package lock_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// newLocker makes a Locker over a client of its own, as another process
// would, with keys of the test's own. When the test ends, no key may be
// without a TTL.
func newLocker(t testing.TB, s *redistest.Server, set ...func(*lock.Config)) *lock.Locker {
	t.Helper()
	return newLockerOn(t, s, s.Client(), set...)
}

func newLockerOn(t testing.TB, s *redistest.Server, rdb redis.UniversalClient, set ...func(*lock.Config)) *lock.Locker {
	t.Helper()
	cfg := lock.Config{Key: s.Prefix() + ":*"}
	for _, f := range set {
		f(&cfg)
	}
	k, err := lock.New(rdb, cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		s.NoImmortals(t)
	})
	return k
}

func keyOf(s *redistest.Server, id string) string { return s.Prefix() + ":" + id }

func fenceOf(s *redistest.Server, id string) string { return keys.Sibling("fence", keyOf(s, id)) }

func channelOf(s *redistest.Server, id string) string {
	return keys.Sibling("released", keyOf(s, id))
}

func ttl(d time.Duration) func(*lock.Config) {
	return func(c *lock.Config) { c.TTL = d }
}

func onError(reported *redistest.Recorder) func(*lock.Config) {
	return func(c *lock.Config) { c.OnError = reported.OnError }
}

// mustTry takes the lock of id.
func mustTry(t testing.TB, k *lock.Locker, id string) *lock.Lock {
	t.Helper()
	l, err := k.Try(t.Context(), id)
	if err != nil {
		t.Fatalf("Try: %v", err)
	}
	return l
}

// warm makes the server know every script.
func warm(t testing.TB, k *lock.Locker) {
	t.Helper()
	l := mustTry(t, k, "warm")
	if _, err := l.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// acquire begins to wait for the lock of id.
func acquire(ctx context.Context, k *lock.Locker, id string) <-chan redistest.Result[*lock.Lock] {
	return redistest.Async(func() (*lock.Lock, error) { return k.Acquire(ctx, id) })
}

// exists reports whether there is a lock of id.
func exists(t testing.TB, s *redistest.Server, id string) bool {
	t.Helper()
	n, err := s.Client().Exists(context.Background(), keyOf(s, id)).Result()
	if err != nil {
		t.Fatal(err)
	}
	return n == 1
}
