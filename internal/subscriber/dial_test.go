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

func TestSlowDialIsGivenUp(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		sub, got := open(t, s.Client(func(o *redis.Options) {
			o.DialTimeout = time.Second
			o.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		}), liveness(time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := sub.Subscribe(ctx, "ch"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Subscribe: %v", err)
		}
		if errs := got.failures(); len(errs) < 3 || !errors.Is(errs[0], errSlowDial) {
			t.Errorf("reported %v", errs)
		}
	})
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
		o.MinIdleConns = 3 // a subscriber needs none
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
