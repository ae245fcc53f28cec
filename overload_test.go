package rediskit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/ratelimit"
)

// A blocking command is the one call that may be under way.
func TestAnOverloadedClientRefusesAndEveryPackageDoesWhatItDoesWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cfg := at(server.Addr())
	cfg.MaxWaiting = 1
	rdb, ctx := connect(t, cfg), within(t)
	values, err := cache.New[string](rdb, cache.Config{Key: "value:*", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer values.Close()
	limits, err := ratelimit.New(rdb, ratelimit.Config{Key: "limit:*", WhenDown: ratelimit.FailClosed}, ratelimit.PerMinute(9))
	if err != nil {
		t.Fatal(err)
	}
	locks, err := lock.New(rdb, lock.Config{Key: "lock:*"})
	if err != nil {
		t.Fatal(err)
	}
	defer locks.Close()

	blocked := redistest.Async(func() ([]string, error) { return rdb.BLPop(ctx, 0, "list").Result() })
	redistest.Eventually(t, func() bool { return breaker.BulkheadOf(rdb).UnderWay() == 1 }, "a call is under way")
	if err := rdb.Get(ctx, "k").Err(); !errors.Is(err, rediskit.ErrOverloaded) || errors.Is(err, rediskit.ErrUnavailable) {
		t.Errorf("Get: %v", err)
	}
	load := func(context.Context, string) (string, error) { return "loaded", nil }
	if v, err := values.GetOrLoad(ctx, "a", load); v != "loaded" || err != nil {
		t.Errorf("GetOrLoad: %q, %v", v, err)
	}
	if r, err := limits.Allow(ctx, "a"); r.Allowed || !r.Degraded || err != nil {
		t.Errorf("Allow: %+v, %v", r, err)
	}
	acquired := redistest.Async(func() (*lock.Lock, error) { return locks.Acquire(ctx, "a") })
	before := breaker.BulkheadOf(rdb).Refused()
	redistest.Eventually(t, func() bool { return breaker.BulkheadOf(rdb).Refused() > before+1 }, "Acquire was refused, and asks again")

	mustDo(t, server.Client(), "rpush", "list", "v")
	if r := <-blocked; r.Err != nil {
		t.Errorf("BLPOP: %v", r.Err)
	}
	r := <-acquired
	if r.Err != nil {
		t.Fatalf("Acquire: %v", r.Err)
	}
	if err := r.Value.Release(ctx); err != nil {
		t.Errorf("Release: %v", err)
	}
}

func TestAClusterCountsTheCallsToAllNodesTogether(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	cfg := at(cluster.Addrs()[0])
	cfg.Cluster, cfg.MaxWaiting = true, 2
	rdb, ctx := connect(t, cfg), within(t)
	var blocked []<-chan redistest.Result[[]string]
	for _, list := range []string{"a", "b"} { // of two nodes
		blocked = append(blocked, redistest.Async(func() ([]string, error) { return rdb.BLPop(ctx, 0, list).Result() }))
	}
	redistest.Eventually(t, func() bool { return breaker.BulkheadOf(rdb).UnderWay() == 2 }, "two calls are under way")
	for _, key := range []string{"a", "b", "c"} {
		if err := rdb.Get(ctx, key).Err(); !errors.Is(err, rediskit.ErrOverloaded) {
			t.Errorf("Get: %v", err)
		}
	}
	for _, list := range []string{"a", "b"} {
		mustDo(t, cluster.Client(), "rpush", list, "v")
	}
	for _, call := range blocked {
		if r := <-call; r.Err != nil {
			t.Errorf("BLPOP: %v", r.Err)
		}
	}
}
