package ratelimit_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

func TestAClusterKeepsAllCountsOfAnIDInOneSlot(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	rdb := cluster.Client()
	for name, policies := range hourly {
		l, err := ratelimit.New(rdb, ratelimit.Config{Key: "limit:*:" + name}, policies...)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"1", "2", "3", "4", "{x}", "}{", "{}", "a{b", "é"} {
			if passed, _ := exhaust(t, l, id); passed != 100 {
				t.Errorf("%s: %d passed, want 100", name, passed)
			}
			if got := peek(t, l, id); got.Degraded {
				t.Errorf("%s: %v", name, got.Err)
			}
			if err := l.Reset(t.Context(), id); err != nil {
				t.Errorf("%s: Reset: %v", name, err)
			}
			if got := peek(t, l, id); got.Remaining != 100 {
				t.Errorf("%s: %d remain after Reset", name, got.Remaining)
			}
		}
	}
	for _, node := range cluster.Nodes() {
		if keys := node.Client().Keys(t.Context(), "*").Val(); len(keys) != 0 {
			t.Errorf("%d keys were left by Reset", len(keys))
		}
	}
}

func TestEveryKeyIsTheCallersKeyOrASiblingOfIt(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	root := server.Client()
	if err := root.Do(t.Context(), "acl", "setuser", "limiter", "on", ">secret",
		"~rate_limit:*", "~rediskit:*:{rate_limit:*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	rdb := server.Client(func(o *redis.Options) { o.Username, o.Password = "limiter", "secret" })
	for name, policies := range hourly {
		l, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, policies...)
		if err != nil {
			t.Fatal(err)
		}
		if res := allow(t, l, name, 1); res.Degraded {
			t.Errorf("%s: %v", name, res.Err)
		}
		if err := l.Reset(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
