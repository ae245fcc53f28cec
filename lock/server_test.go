package lock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

// newOn makes a Locker for a server of the test's own.
func newOn(t *testing.T, rdb redis.UniversalClient, set ...func(*lock.Config)) *lock.Locker {
	t.Helper()
	cfg := lock.Config{Key: "lock:*"}
	for _, f := range set {
		f(&cfg)
	}
	k, err := lock.New(rdb, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

func awaitLoss(t *testing.T, l *lock.Lock) {
	t.Helper()
	select {
	case <-l.Context().Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the lock is still trusted")
	}
	if cause := context.Cause(l.Context()); !errors.Is(cause, lock.ErrLost) {
		t.Errorf("the context's cause is %v, want ErrLost", cause)
	}
}

func TestARestartWithoutDataLosesTheLock(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	k := newOn(t, server.Client(), ttl(2*time.Second))
	l := mustTry(t, k, "1")
	before, err := l.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	server.Restart()
	awaitLoss(t, l)
	if n := server.Client().Exists(t.Context(), "lock:1").Val(); n != 0 {
		t.Error("the lost lock has come back")
	}
	after, err := mustTry(t, k, "1").Fence(t.Context())
	if err != nil || after <= before {
		t.Errorf("the next fence is %d, %v; want more than %d", after, err, before)
	}
}

func TestAnEvictedLockIsLostAndItsFenceStillRises(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru")
	rdb := server.Client()
	k := newOn(t, rdb, ttl(2*time.Second))
	l := mustTry(t, k, "1")
	before, err := l.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	junk := strings.Repeat("x", 10_000)
	for i := 0; rdb.Exists(t.Context(), "lock:1", keys.Sibling("fence", "lock:1")).Val() > 0; i++ {
		rdb.Set(t.Context(), fmt.Sprint("cache:", i), junk, time.Hour)
	}
	awaitLoss(t, l)
	after, err := mustTry(t, k, "1").Fence(t.Context())
	if err != nil || after <= before {
		t.Errorf("the next fence is %d, %v; want more than %d", after, err, before)
	}
}

func TestReplicasMustAcknowledge(t *testing.T) {
	t.Parallel()
	primary := redistest.Start(t)
	one := func(c *lock.Config) { c.Replicas = lock.Replicas{N: 1, Timeout: 200 * time.Millisecond} }

	k := newOn(t, primary.Client(), one)
	_, err := k.Try(t.Context(), "1")
	if !errors.Is(err, lock.ErrReplicas) || !strings.Contains(err.Error(), "0 of 1") {
		t.Fatalf("Try without a replica = %v, want ErrReplicas", err)
	}
	if _, err := k.Acquire(t.Context(), "1"); !errors.Is(err, lock.ErrReplicas) {
		t.Errorf("Acquire without a replica = %v, want ErrReplicas", err)
	}
	redistest.Eventually(t, func() bool {
		return primary.Client().Exists(t.Context(), "lock:1").Val() == 0
	}, "what was not acknowledged is given back")

	replica := redistest.StartReplica(t, primary)
	rdb := primary.Client()
	roundTrips := redistest.Trips(rdb)
	k = newOn(t, rdb, one, ttl(2*time.Second), func(c *lock.Config) { c.Replicas.Timeout = 500 * time.Millisecond })
	warm(t, k)
	l := mustTry(t, k, "1")
	if left := replica.Client().PTTL(t.Context(), "lock:1").Val(); left <= 0 {
		t.Errorf("on the replica the lock has %v left", left)
	}
	redistest.Eventually(t, func() bool { return k.Stats().Renewals > 0 }, "it is renewed")
	roundTrips.Take()
	mustRelease(t, l)
	if n := roundTrips.Take(); n != 1 {
		t.Errorf("a Release took %d round trips, want 1", n)
	}

	// A renewal that the replica does not have counts as failed.
	l = mustTry(t, k, "1")
	replica.Pause()
	awaitLoss(t, l)
	replica.Resume()
	if got := k.Stats(); got.FailedRenewals == 0 {
		t.Errorf("stats = %+v, want failed renewals", got)
	}
}

func TestOnACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	ctx := t.Context()

	t.Run("every id keeps the whole protocol in one slot", func(t *testing.T) {
		rdb := cluster.Client()
		roundTrips := redistest.Trips(rdb)
		k := newOn(t, rdb)
		ids := []string{"{", "}", "{}", "{a}", "a}b{c}", "}{", "{{x}}", "*", "\x00"}
		for i := range 30 {
			ids = append(ids, fmt.Sprint("id ", i))
		}
		for round := range 2 {
			for _, id := range ids {
				roundTrips.Take()
				l := mustTry(t, k, id)
				if _, err := l.Fence(ctx); err != nil {
					t.Errorf("Fence of %q: %v", id, err)
				}
				mustRelease(t, l)
				if n := roundTrips.Take(); round == 1 && n != 3 {
					t.Errorf("%q took %d round trips, want 3", id, n)
				}
			}
		}
		if got := k.Stats(); got.Released != uint64(2*len(ids)) || got.RedisErrors != 0 {
			t.Errorf("stats = %+v", got)
		}
	})

	t.Run("waiters are woken across nodes", func(t *testing.T) {
		a, b := newOn(t, cluster.Client(), never), newOn(t, cluster.Client(), never)
		for i := range 10 {
			id := fmt.Sprint("wait ", i)
			l := mustTry(t, a, id)
			waiting := acquire(ctx, b, id)
			awaitWaiting(t, b, 1)
			mustRelease(t, l)
			mustRelease(t, got(t, waiting))
		}
	})

	t.Run("a client that does not know of a move follows it", func(t *testing.T) {
		waiter := newOn(t, cluster.Client(), never)
		for _, moving := range []bool{false, true} {
			k := newOn(t, cluster.Client())
			id := fmt.Sprint("moved ", moving)
			warmed := mustTry(t, k, id)
			mustRelease(t, warmed)
			l := mustTry(t, k, id)
			waiting := acquire(ctx, waiter, id)
			awaitWaiting(t, waiter, 1)
			moveSlot(t, cluster, "lock:"+id, moving)
			mustRelease(t, l)
			next := got(t, waiting)
			if _, err := next.Fence(ctx); err != nil && (!moving || !redis.IsTryAgainError(err)) {
				t.Errorf("Fence: %v", err)
			}
			mustRelease(t, next)
		}
	})

	t.Run("replicas are asked for where the lock is", func(t *testing.T) {
		k := newOn(t, cluster.Client(), func(c *lock.Config) { c.Replicas = lock.Replicas{N: 1, Timeout: 10 * time.Millisecond} })
		for i := range 5 {
			if _, err := k.Try(ctx, fmt.Sprint("replicated ", i)); !errors.Is(err, lock.ErrReplicas) {
				t.Errorf("Try = %v, want ErrReplicas: there are none", err)
			}
		}
	})
}

// moveSlot moves the slot of key, with what is in it, to another primary; or,
// if it is to be moving, leaves it half moved with its keys gone.
func moveSlot(t *testing.T, cluster *redistest.Cluster, key string, moving bool) {
	t.Helper()
	ctx, rdb, slot := t.Context(), cluster.Client(), keys.Slot(key)
	from, err := rdb.MasterForKey(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	if cluster.Addrs()[i] == from.Options().Addr {
		i = 1
	}
	node := cluster.Nodes()[i]
	to := node.Client()
	do := func(rdb *redis.Client, args ...any) {
		t.Helper()
		if err := rdb.Do(ctx, args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	id := func(rdb *redis.Client) string { return fmt.Sprint(rdb.Do(ctx, "CLUSTER", "MYID").Val()) }
	do(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", id(from))
	do(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", id(to))
	for _, k := range from.ClusterGetKeysInSlot(ctx, slot, 100).Val() {
		do(from, "MIGRATE", "127.0.0.1", node.Port(), k, 0, 5000)
	}
	if !moving {
		do(to, "CLUSTER", "SETSLOT", slot, "NODE", id(to))
		do(from, "CLUSTER", "SETSLOT", slot, "NODE", id(to))
	}
}
