package ratelimit_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// newLimiter returns a limiter with a client of its own, like that of another process, and
// with keys of the test's own. It fails the test if a key has no TTL when the test ends.
func newLimiter(t testing.TB, s *redistest.Server, policies ...ratelimit.Policy) *ratelimit.Limiter {
	t.Helper()
	return newLimiterOn(t, s, s.Client(), ratelimit.Config{}, policies...)
}

func newLimiterOn(t testing.TB, s *redistest.Server, rdb redis.UniversalClient, cfg ratelimit.Config, policies ...ratelimit.Policy) *ratelimit.Limiter {
	t.Helper()
	cfg.Key = pattern(s)
	l, err := ratelimit.New(rdb, cfg, policies...)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { s.NoImmortals(t) })
	return l
}

func pattern(s *redistest.Server) string { return s.Prefix() + ":rate_limit:*" }

func keyOf(s *redistest.Server, id string) string { return s.Prefix() + ":rate_limit:" + id }

// allow returns what l decides about n for id. It fails the test on an error.
func allow(t testing.TB, l *ratelimit.Limiter, id string, n int) ratelimit.Result {
	t.Helper()
	res, err := l.AllowN(t.Context(), id, n)
	if err != nil {
		t.Fatalf("AllowN(%d): %v", n, err)
	}
	return res
}

func peek(t testing.TB, l *ratelimit.Limiter, id string) ratelimit.Result {
	t.Helper()
	res, err := l.Peek(t.Context(), id)
	if err != nil {
		t.Fatalf("Peek: %v", err)
	}
	return res
}

// exhaust sends one request after the other until l denies one. It returns how many passed.
func exhaust(t testing.TB, l *ratelimit.Limiter, id string) (passed int, denial ratelimit.Result) {
	t.Helper()
	for {
		res := allow(t, l, id, 1)
		if !res.Allowed {
			return passed, res
		}
		if passed++; passed > 10_000 {
			t.Fatal("never denied")
		}
	}
}

// stored returns the text under a key, or "" if there is none.
func stored(t testing.TB, s *redistest.Server, key string) string {
	t.Helper()
	text, err := s.Client().Get(context.Background(), key).Result()
	if err != nil && err != redis.Nil {
		t.Fatal(err)
	}
	return text
}
