package subscriber

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

func TestOnAClusterADeadNodeIsLeft(t *testing.T) {
	t.Parallel()
	// Slots without a primary must not stop the others.
	cluster := redistest.StartCluster(t, 3, "--cluster-require-full-coverage", "no")
	rdb := cluster.Client(func(o *redis.ClusterOptions) { o.DialTimeout = time.Second })
	sub, got := open(t, rdb)
	subscribe(t, sub, "a", "b", "c")
	for _, ch := range []string{"a", "b", "c"} {
		if err := rdb.Publish(t.Context(), ch, ch).Err(); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, func() bool { return got.count(ch) == 1 }, "what is published at any node arrives")
	}
	serving := func(node *redistest.Process) bool {
		n := node.Client().PubSubNumSub(t.Context(), "a").Val()
		return n["a"] == 1
	}
	for _, node := range cluster.Nodes() {
		if !serving(node) {
			continue
		}
		node.Kill()
		redistest.Eventually(t, func() bool { return got.count(gap) == 1 }, "another node took over")
		for _, other := range cluster.Nodes() {
			if other != node && serving(other) {
				if n := other.Client().Publish(t.Context(), "b", "after").Val(); n != 1 {
					t.Errorf("%d receivers", n)
				}
			}
		}
		redistest.Eventually(t, func() bool { return got.count("after") == 1 }, "received")
		return
	}
	t.Error("no node serves the subscriber")
}

// The client's map says where the owner is; the old one goes on answering PONG.
func TestAHomeOnAClusterIsFollowed(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	rdb := cluster.Client()
	var cause atomic.Value
	sub, got := open(t, rdb, func(cfg *Config) {
		cfg.Home = "home"
		gap := cfg.OnGap
		cfg.OnGap = func(err error) { cause.Store(err); gap(err) }
	})
	subscribe(t, sub, "home")
	owner := keys.Slot("home") * 3 / keys.Slots
	from, to := cluster.Nodes()[owner], cluster.Nodes()[(owner+1)%3]
	publish(t, from.Client(), "home", "before", 1)
	if err := rdb.Set(t.Context(), "home", "", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	cluster.MoveBusySlots(from, to)
	redistest.Eventually(t, func() bool {
		rdb.ReloadState(t.Context()) // a node that it asks may not know yet
		return got.count(gap) > 0
	}, "the move is noticed")
	if got := cause.Load(); got != errMoved {
		t.Errorf("the gap's cause is %v", got)
	}
	redistest.Eventually(t, func() bool {
		return to.Client().PubSubNumSub(t.Context(), "home").Val()["home"] == 1 &&
			from.Client().PubSubNumSub(t.Context(), "home").Val()["home"] == 0
	}, "the new owner, and no other, is subscribed")
	publish(t, to.Client(), "home", "after", 1)
	redistest.Eventually(t, func() bool { return got.count("after") == 1 }, "received")
}

func TestASentinelFailoverIsFollowed(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t, func(o *redistest.SentinelOptions) { o.Password = "secret" })
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: sentinel.MasterName(), SentinelAddrs: sentinel.Addrs(), Password: "secret",
		DialTimeout: time.Second, ContextTimeoutEnabled: true,
	})
	defer rdb.Close()
	sub, got := open(t, rdb)
	subscribe(t, sub, "ch")
	old := sentinel.Master()
	old.Kill()
	redistest.Eventually(t, func() bool { return got.count(gap) == 1 }, "the new primary is subscribed")
	if n := sentinel.Client(sentinel.Master()).Publish(t.Context(), "ch", "1").Val(); n != 1 {
		t.Errorf("%d receivers at the new primary", n)
	}
	redistest.Eventually(t, func() bool { return got.count("1") == 1 }, "received")
	rdb.Close()
	sub.Reconnect("a test")
	redistest.Eventually(t, func() bool { return got.count("end: "+ErrClientClosed.Error()) == 1 }, "ended with its client")
}

func TestAClosedClientEndsTheSubscriberAtTheNextConnection(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb, ch := through(s, proxy), s.Prefix()
		sub, got := open(t, rdb)
		subscribe(t, sub, ch)
		pings := proxy.Requests("PING")
		if sender.IsClosed(rdb) {
			t.Error("an open client was found closed")
		}
		if n := proxy.Requests("PING"); n != pings {
			t.Errorf("%d PINGs were sent to learn whether the client is closed", n-pings)
		}
		rdb.Close()
		publish(t, s.Client(), ch, "before", 1)
		got.await(t, "before")
		proxy.Cut()
		got.await(t, "before", "end: "+ErrClientClosed.Error())
		if err := sub.Subscribe(within(t), ch); !errors.Is(err, ErrClientClosed) {
			t.Errorf("Subscribe: %v", err)
		}
	})
}

func TestAClosedClusterClientEndsTheSubscriber(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 1)
	rdb := cluster.Client()
	sub, got := open(t, rdb)
	subscribe(t, sub, "a")
	rdb.Close()
	sub.Reconnect("a test")
	got.await(t, "end: "+ErrClientClosed.Error())
}
