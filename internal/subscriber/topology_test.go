package subscriber

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestOnAClusterADeadNodeIsLeft(t *testing.T) {
	t.Parallel()
	// Slots without a master must not stop the others.
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

func TestClosedClusterClientEndsTheSubscriber(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 1)
	rdb := cluster.Client()
	sub, got := open(t, rdb)
	subscribe(t, sub, "a")
	rdb.Close()
	sub.Reconnect("a test")
	got.await(t, "end: "+ErrClientClosed.Error())
}

func TestSentinelFailoverIsFollowed(t *testing.T) {
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
	redistest.Eventually(t, func() bool { return got.count(gap) == 1 }, "the new master is subscribed")
	if n := sentinel.Client(sentinel.Master()).Publish(t.Context(), "ch", "1").Val(); n != 1 {
		t.Errorf("%d receivers at the new master", n)
	}
	redistest.Eventually(t, func() bool { return got.count("1") == 1 }, "received")
	rdb.Close()
	sub.Reconnect("a test")
	redistest.Eventually(t, func() bool { return got.count("end: "+ErrClientClosed.Error()) == 1 }, "ended with its client")
}

func TestOptionsOfTheClientAreHonoured(t *testing.T) {
	t.Parallel()
	certs := redistest.TLS(t)
	server := redistest.Start(t, append(certs.Args(), "--requirepass", "first")...)
	var password atomic.Pointer[string]
	set := func(p string) { password.Store(&p) }
	set("first")
	greeted := atomic.Int32{}
	rdb := server.Client(func(o *redis.Options) {
		o.TLSConfig = certs.Config()
		o.ClientName = "named"
		o.CredentialsProviderContext = func(context.Context) (string, string, error) { return "", *password.Load(), nil }
		o.OnConnect = func(context.Context, *redis.Conn) error { greeted.Add(1); return nil }
		o.MinIdleConns = 3 // which a subscriber has no use for
		o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{}
	})
	sub, got := open(t, rdb)
	subscribe(t, sub, "ch")
	publish(t, rdb, "ch", "1", 1)
	got.await(t, "1")
	list := rdb.ClientList(t.Context()).Val()
	if n := strings.Count(list, " sub=1 "); n != 1 || !strings.Contains(list, " name=named ") {
		t.Errorf("%d subscribers in\n%s", n, list)
	}
	if err := rdb.ConfigSet(t.Context(), "requirepass", "second").Err(); err != nil {
		t.Fatal(err)
	}
	set("second")
	greeted.Store(0)
	sub.Reconnect("a test")
	got.await(t, "1", gap)
	if greeted.Load() != 1 {
		t.Errorf("OnConnect ran %d times for one connection", greeted.Load())
	}
}

func TestOneDialPerSession(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		var dials atomic.Int32
		var failing atomic.Bool
		conns := make(chan net.Conn, 100)
		sub, got := open(t, s.Client(func(o *redis.Options) {
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials.Add(1)
				if failing.Load() {
					return nil, errors.New("no")
				}
				conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				conns <- conn
				return conn, err
			}
		}))
		subscribe(t, sub, s.Prefix())
		failing.Store(true)
		(<-conns).Close()
		failures := func() int { return len(got.failures()) }
		redistest.Eventually(t, func() bool { return failures() >= 4 }, "four failures")
		failing.Store(false)
		got.await(t, gap)
		// Each failure but the first, the loss, was a dial that failed.
		if got, want := int(dials.Load()), 1+failures()-1+1; got != want {
			t.Errorf("%d dials for %d failures, want %d", got, failures(), want)
		}
	})
}
