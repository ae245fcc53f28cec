package tracking

import (
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestAServerThatRefusedIsAskedAgainLater(t *testing.T) {
	t.Parallel()
	for _, untracked := range []bool{false, true} {
		server := redistest.Start(t)
		admin, ctx := server.Client(), t.Context()
		if err := admin.Do(ctx, "ACL", "SETUSER", "app", "on", "nopass", "~*", "+@all", "-client|tracking", "&*").Err(); err != nil {
			t.Fatal(err)
		}
		rdb := server.Client(func(o *redis.Options) { o.Username, o.Password = "app", "any" })
		f := follow(t, rdb, "x", func(c *Config) { c.Untracked, c.Again = untracked, 50*time.Millisecond })
		state := Refused
		if untracked {
			state = Untracked
		}
		redistest.Eventually(t, func() bool { f.epoch("x"); return f.State() == state }, "refused")
		if !f.hasError(redis.IsPermissionError) {
			t.Errorf("reported %v", f.errs)
		}
		first := f.epoch("x")
		if untracked != (first != nil) {
			t.Errorf("epoch %v, untracked %v", first, untracked)
		}
		if err := admin.Do(ctx, "ACL", "SETUSER", "app", "+client|tracking").Err(); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, func() bool { return f.State() == Tracking }, "granted")
		second := f.await("x", first)
		if first.Valid(Now()) {
			t.Error("the untracked epoch is still valid")
		}
		admin.Do(ctx, "ACL", "SETUSER", "app", "-client|tracking")
		admin.ClientKillByFilter(ctx, "USER", "app")
		redistest.Eventually(t, func() bool { return f.State() == state }, "refused again")
		if second.Valid(Now()) {
			t.Error("the tracked epoch is still valid")
		}
	}
}

func TestAServerThatCannotTrackRefuses(t *testing.T) {
	t.Parallel()
	f := follow(t, redistest.Mini(t).Client(), "x")
	redistest.Eventually(t, func() bool { f.epoch("x"); return f.State() == Refused }, "refused")
}

func TestTheChannelMayBeForbidden(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	if err := server.Client().Do(t.Context(), "ACL", "SETUSER", "app", "on", "nopass", "~*", "+@all", "resetchannels").Err(); err != nil {
		t.Fatal(err)
	}
	f := follow(t, server.Client(func(o *redis.Options) { o.Username, o.Password = "app", "any" }), "x")
	redistest.Eventually(t, func() bool {
		if f.epoch("x") != nil {
			t.Error("an epoch without a subscription")
		}
		return f.State() == Refused
	}, "refused")
}

func TestAReplicaHasNoEpoch(t *testing.T) {
	t.Parallel()
	primary := redistest.Start(t)
	replica := redistest.Start(t, "--replicaof", "127.0.0.1 "+portOf(primary))
	f := follow(t, replica.Client(), "x")
	redistest.Eventually(t, func() bool {
		if f.epoch("x") != nil {
			t.Error("an epoch at a replica")
		}
		return f.hasError(func(err error) bool { return errors.Is(err, errReplica) })
	}, "OnError receives it")
}
