package redistest

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestSentinelsPromoteAReplicaOfAPrimaryThatWasKilled(t *testing.T) {
	startsReal(t)
	s := StartSentinel(t, func(o *SentinelOptions) { o.Password = "opensesame" })
	ctx, primary := t.Context(), s.Master()
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: s.MasterName(), SentinelAddrs: s.Addrs(), Password: "opensesame",
	})
	defer rdb.Close()
	if err := rdb.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Client(primary).Wait(ctx, 1, 5*time.Second).Result(); n != 1 {
		t.Fatalf("%d replicas have the write, %v", n, err)
	}
	replica := s.Replicas()[0]

	start := time.Now()
	primary.Kill()
	Eventually(t, func() bool { return s.Master() == replica }, "the replica is promoted")
	Eventually(t, func() bool { return rdb.Set(ctx, "k2", "v", 0).Err() == nil }, "writes succeed again")
	t.Logf("failover took %v", time.Since(start).Round(time.Millisecond))
	if v := rdb.Get(ctx, "k").Val(); v != "v" {
		t.Errorf("the acknowledged write is %q", v)
	}

	primary.Restart()
	Eventually(t, func() bool {
		return s.Client(primary).Get(ctx, "k2").Val() == "v"
	}, "the old primary is a replica of the new one")
}

func TestSentinelsKnowEveryReplica(t *testing.T) {
	startsReal(t)
	start := time.Now()
	s := StartSentinel(t, func(o *SentinelOptions) { o.Replicas = 2 })
	t.Logf("ready after %v", time.Since(start).Round(time.Millisecond))
	if len(s.Addrs()) != 3 || len(s.Replicas()) != 2 || len(s.Servers()) != 3 {
		t.Errorf("%d Sentinels, %d replicas, %d servers", len(s.Addrs()), len(s.Replicas()), len(s.Servers()))
	}
	ctx := t.Context()
	s.Client(s.Master()).Set(ctx, "k", "v", 0)
	for _, r := range s.Replicas() {
		Eventually(t, func() bool { return s.Client(r).Get(ctx, "k").Val() == "v" }, "the replica has the write")
	}
}
