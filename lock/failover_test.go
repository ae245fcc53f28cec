package lock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/secrets"
)

// A pair is a primary and a server that follows it, or has been promoted and
// no longer does.
type pair struct{ primary, replica *redistest.Process }

func startPair(t *testing.T) pair {
	t.Helper()
	p := pair{redistest.Start(t), redistest.Start(t)}
	p.follow(t)
	return p
}

// follow makes the replica one, and waits until it is.
func (p pair) follow(t *testing.T) {
	t.Helper()
	p.replicaOf(t, "127.0.0.1", p.primary.Port())
	p.primary.AwaitReplica()
}

// promote makes a primary of the replica, as a Sentinel would: what the old
// one is sent from then on never reaches it.
func (p pair) promote(t *testing.T) {
	t.Helper()
	p.replicaOf(t, "no", "one")
}

func (p pair) replicaOf(t *testing.T, primary ...any) {
	t.Helper()
	if err := p.replica.Client().Do(t.Context(), append([]any{"replicaof"}, primary...)...).Err(); err != nil {
		t.Fatal(err)
	}
}

func oneReplica(c *lock.Config) { c.Replicas.N = 1 }

// A failover to a replica that does not have a lock gives it to a second
// holder. Their fences differ.
func TestAFailoverWithoutReplicasHasTwoHoldersAndTheirFences(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	first, second := newOn(t, p.primary.Client()), newOn(t, p.replica.Client())
	p.promote(t)
	old := mustTry(t, first, "1")
	fence, err := old.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rival := mustTry(t, second, "1")
	later, err := rival.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if old.Context().Err() != nil {
		t.Error("the old holder cannot know of the failover yet")
	}
	if later <= fence {
		t.Errorf("the later holder's fence %d is not greater than %d", later, fence)
	}
}

// With Replicas, a lock that the replica does not have is not taken.
func TestALockThatTheReplicaDoesNotHaveIsNotHeld(t *testing.T) {
	t.Parallel()
	p := startPair(t)
	k := newOn(t, p.primary.Client(), oneReplica)
	mustTry(t, k, "warm")
	p.promote(t)
	l, err := k.Try(t.Context(), "1")
	if !errors.Is(err, lock.ErrReplicas) || l != nil {
		t.Fatalf("got %v, want ErrReplicas", err)
	}
	primary := p.primary.Client()
	redistest.Eventually(t, func() bool { return primary.Exists(t.Context(), "lock:1").Val() == 0 }, "it is given back")
	p.follow(t)
	redistest.Eventually(t, func() bool {
		l, err := k.Try(t.Context(), "1")
		if err != nil {
			return false
		}
		return l.Release(t.Context()) == nil
	}, "the lock once the replica follows again")
}

// A lock that was replicated survives the failover: its holder goes on, and
// no other caller gets it from the new primary.
func TestAReplicatedLockSurvivesASentinelFailover(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	connect := func() redis.UniversalClient {
		rdb, err := rediskit.Connect(ctx, rediskit.Config{
			Addrs: sentinel.Addrs(), MasterName: sentinel.MasterName(), Password: secrets.None(),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { rdb.Close() })
		return rdb
	}
	long := func(c *lock.Config) { c.TTL = 30 * time.Second }
	holder := connect()
	k := newOn(t, holder, oneReplica, long)
	rival := newOn(t, connect(), long)
	old := sentinel.Master()
	old.AwaitReplica()
	l := mustTry(t, k, "1")
	fence, err := l.Fence(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old.Kill()
	redistest.Eventually(t, func() bool { return sentinel.Master() != old }, "a new primary")
	redistest.Eventually(t, func() bool {
		_, err := rival.Try(t.Context(), "1")
		return errors.Is(err, lock.ErrHeld)
	}, "the new primary says that the lock is held")
	if err := l.Context().Err(); err != nil {
		t.Errorf("the holder got %v", context.Cause(l.Context()))
	}
	redistest.Eventually(t, func() bool { return holder.Ping(t.Context()).Err() == nil }, "the holder too has found the new primary")
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := mustTry(t, rival, "1")
	if later, err := next.Fence(t.Context()); err != nil || later <= fence {
		t.Errorf("the next fence is %d, %v; want more than %d", later, err, fence)
	}
}
