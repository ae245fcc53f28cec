package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

func TestKilledConnectionIsExactlyOneGap(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(func(o *redis.Options) { o.ClientName = s.Prefix() })
		topic := newTopic[int](t, rdb, s.Prefix())
		hub := listen(t, topic)
		subs := []*pubsub.Subscription[int]{hub.Subscribe(), hub.Subscribe()}
		publish(t, topic, 0)
		expect(t, subs[0], "0")
		for i := range 5 {
			killListeners(t, s.Client(), s.Prefix())
			topic.Publish(t.Context(), -1) // into the gap, most likely
			if got := next(t, subs[0]); got != "gap 0" {
				t.Fatalf("received %q", got)
			}
			publish(t, topic, i+1)
			expect(t, subs[0], fmt.Sprint(i+1))
		}
		expect(t, subs[1], "0", "gap 0", "1", "gap 0", "2", "gap 0", "3", "gap 0", "4", "gap 0", "5")
		if got := hub.Stats(); got.Reconnects != 5 || got.Gaps != 10 || got.Errors < 5 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestHalfOpenConnectionIsAGapWithinLiveness(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		var reported redistest.Recorder
		listener := newTopic[int](t, through(s, proxy), s.Prefix(), liveness(time.Second),
			func(cfg *pubsub.Config) { cfg.OnError, cfg.Name = reported.OnError, "updates" })
		sub := listen(t, listener).Subscribe()
		topic := newTopic[int](t, s.Client(), s.Prefix())
		publish(t, topic, 0)
		expect(t, sub, "0")
		proxy.BlackHole()
		topic.Publish(t.Context(), 1) // the server believes that it was delivered
		redistest.Eventually(t, func() bool { return reported.Has("pubsub: receive updates: the server has not answered") }, "found")
		proxy.Cut()
		proxy.Heal()
		expect(t, sub, "gap 0")
		redistest.Eventually(t, func() bool { n, _ := topic.Publish(t.Context(), 2); return n > 0 }, "heard again")
		if got := next(t, sub); got != "2" {
			t.Errorf("received %q", got)
		}
	})
}

// In the bubble the time until a silent server is found is exact.
func TestSilentServerIsFoundInTime(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var silent atomic.Bool
		rdb := s.Client()
		dial := rdb.Options().Dialer
		listening := s.Client(func(o *redis.Options) {
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dial(ctx, network, addr)
				return deafConn{conn, &silent}, err
			}
		})
		var lost atomic.Int64
		start := time.Now()
		hub := listen(t, newTopic[int](t, listening, "ch", liveness(4*time.Second), func(cfg *pubsub.Config) {
			cfg.OnError = func(context.Context, error) {
				silent.Store(false)
				lost.Store(int64(time.Since(start)))
			}
		}))
		sub := hub.Subscribe()
		time.Sleep(time.Hour)
		if lost.Load() != 0 {
			t.Fatal("an idle server was given up")
		}
		silent.Store(true)
		expectGap := redistest.Async(func() (string, error) { return next(t, sub), nil })
		time.Sleep(5 * time.Second)
		if got := (<-expectGap).Value; got != "gap 0" {
			t.Errorf("received %q", got)
		}
		if took := time.Duration(lost.Load()) - time.Hour; took > 4*time.Second {
			t.Errorf("found after %v", took)
		}
		publish(t, newTopic[int](t, rdb, "ch"), 1)
		expect(t, sub, "1")
		hub.Close()
	})
}

// A deafConn loses what it is sent while silent is set.
type deafConn struct {
	net.Conn
	silent *atomic.Bool
}

func (c deafConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.silent.Load() {
			return n, err
		}
	}
}

// The old primary stays one, as when the Sentinels cannot reach it: it answers PONG, and
// receives no messages any more.
func TestAProbeLeavesADemotedPrimary(t *testing.T) {
	t.Parallel()
	old, promoted := redistest.Start(t), redistest.Start(t)
	var primary atomic.Value // where the client's new connections lead, as a Sentinel says
	primary.Store(old.Addr())
	rdb := old.Client(func(o *redis.Options) {
		o.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, primary.Load().(string))
		}
	})
	var reported redistest.Recorder
	topic := newTopic[int](t, rdb, "ch", liveness(3*time.Second), func(cfg *pubsub.Config) {
		cfg.ProbeEvery, cfg.OnError = 100*time.Millisecond, reported.OnError
	})
	sub := listen(t, topic).Subscribe()
	publish(t, topic, 1)
	expect(t, sub, "1")

	// The client follows; the old primary goes on, and answers the hub's PINGs.
	primary.Store(promoted.Addr())
	admin := old.Client()
	follow := func() {
		if err := admin.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	expect(t, sub, "gap 0")
	redistest.Eventually(t, func() bool {
		follow() // a dial of the moment before may still have led to the old one
		n, _ := topic.Publish(t.Context(), 2)
		return n == 1
	}, "published at the new primary")
	expect(t, sub, "2")
	redistest.Eventually(t, func() bool { return admin.PubSubNumSub(t.Context(), "ch").Val()["ch"] == 0 }, "the old primary is left")
	if !reported.Has("a probe has not come back") {
		t.Errorf("the probe did not find it; OnError received %v", reported.All())
	}
}

func TestProbeLeavesAHealthyConnectionAlone(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var reported redistest.Recorder
		topic := newTopic[int](t, s.Client(), "ch", func(cfg *pubsub.Config) {
			cfg.ProbeEvery, cfg.OnError = time.Second, reported.OnError
		})
		hub := listen(t, topic)
		sub := hub.Subscribe()
		time.Sleep(time.Hour)
		publish(t, topic, 1)
		expect(t, sub, "1")
		if got := hub.Stats(); got.Reconnects != 0 || got.Received != 1 || len(reported.All()) > 0 {
			t.Errorf("stats = %+v, OnError received %v", got, reported.All())
		}
		hub.Close()
	})
}

// The echo that the loss took along is no reason to break the new connection.
func TestProbeThatIsLostInAGapIsNoSecondGap(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var conn atomic.Pointer[net.Conn]
		rdb := s.Client()
		dial := rdb.Options().Dialer
		listening := s.Client(func(o *redis.Options) {
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := dial(ctx, network, addr)
				c = deafConn{c, &atomic.Bool{}}
				conn.Store(&c)
				return c, err
			}
		})
		topic := newTopic[int](t, listening, "ch", liveness(4*time.Second), func(cfg *pubsub.Config) { cfg.ProbeEvery = 10 * time.Second })
		hub := listen(t, topic)
		listener := *conn.Load()
		sub := hub.Subscribe()
		time.Sleep(9 * time.Second)
		listener.(deafConn).silent.Store(true)
		time.Sleep(2 * time.Second) // the probe is under way, and its echo lost
		listener.(deafConn).silent.Store(false)
		listener.Close()
		expect(t, sub, "gap 0")
		time.Sleep(8 * time.Second) // its time is over
		publish(t, topic, 1)
		expect(t, sub, "1")
		if n := hub.Stats().Reconnects; n != 1 {
			t.Errorf("%d reconnects for one loss", n)
		}
		time.Sleep(time.Hour)
		if n := hub.Stats().Reconnects; n != 1 {
			t.Errorf("%d reconnects though every probe comes back", n)
		}
		hub.Close()
	})
}

func TestProbeFindsTheClientClosed(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		topic := newTopic[int](t, rdb, "ch", func(cfg *pubsub.Config) { cfg.ProbeEvery = time.Second })
		hub := listen(t, topic)
		sub := hub.Subscribe()
		publish(t, topic, 1)
		rdb.Close()
		time.Sleep(2 * time.Second)
		expect(t, sub, "1")
		if _, err := sub.Next(t.Context()); !errors.Is(err, pubsub.ErrClientClosed) || !errors.Is(sub.Err(), pubsub.ErrClientClosed) {
			t.Errorf("Next: %v; Err: %v", err, sub.Err())
		}
		hub.Close()
	})
}

func TestClosedClientEndsAHubThatLosesItsConnection(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := through(s, proxy)
		sub := listen(t, newTopic[int](t, rdb, s.Prefix())).Subscribe()
		rdb.Close()
		proxy.Cut()
		if _, err := sub.Next(within(t)); !errors.Is(err, pubsub.ErrClientClosed) {
			t.Errorf("Next: %v", err)
		}
	})
}

// Redis closes a listener that does not take its messages fast enough.
func TestOutputBufferKickIsAGap(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--client-output-buffer-limit", "pubsub 64kb 0 0")
	proxy := redistest.StartProxy(t, server.Addr())
	listening := server.Client(func(o *redis.Options) { o.Addr = proxy.Addr() })
	topic := newTopic[string](t, server.Client(), "ch")
	sub := listen(t, newTopic[string](t, listening, "ch")).Subscribe()
	publish(t, topic, "before")
	expect(t, sub, "before")
	proxy.BlackHole() // nothing takes them
	// What the kernel holds for a reader may be 10 MB.
	redistest.Within(t, time.Minute, func() bool {
		n, err := topic.Publish(t.Context(), strings.Repeat("x", 32<<10))
		return n == 0 && err == nil
	}, "the server has closed the connection")
	proxy.Heal()
	for got := ""; got != "gap 0"; {
		if got = next(t, sub); got != "gap 0" && got[0] != 'x' {
			t.Fatalf("received %q", got)
		}
	}
	publish(t, topic, "after")
	expect(t, sub, "after")
}

func TestCloseDuringAHangingDialIsPrompt(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var hanging atomic.Bool
		dialling := make(chan net.Conn, 2)
		rdb := s.Client()
		dial := rdb.Options().Dialer
		listening := s.Client(func(o *redis.Options) {
			o.DialTimeout = time.Hour
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if hanging.Load() {
					dialling <- nil
					<-ctx.Done()
					return nil, ctx.Err()
				}
				conn, err := dial(ctx, network, addr)
				dialling <- conn
				return conn, err
			}
		})
		hub := listen(t, newTopic[int](t, listening, "ch"))
		sub := hub.Subscribe()
		waiting := redistest.Async(func() (any, error) { _, err := sub.Next(t.Context()); return nil, err })
		hanging.Store(true)
		(<-dialling).Close()
		<-dialling
		start := time.Now()
		if err := hub.Close(); err != nil || time.Since(start) > 0 {
			t.Errorf("Close took %v, %v", time.Since(start), err)
		}
		if err := (<-waiting).Err; !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("Next: %v", err)
		}
	})
}

// A bubble does not end while a goroutine of the hub is left.
func TestNoGoroutineIsLeft(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *redis.Client, *pubsub.Hub[int]){
		"Close":    func(_ *testing.T, _ *redis.Client, hub *pubsub.Hub[int]) { hub.Close() },
		"Shutdown": func(t *testing.T, _ *redis.Client, hub *pubsub.Hub[int]) { hub.Shutdown(t.Context()) },
		"the client's Close, then Close": func(_ *testing.T, rdb *redis.Client, hub *pubsub.Hub[int]) {
			rdb.Close()
			hub.Close()
		},
		"the client's Close, with a probe": func(_ *testing.T, rdb *redis.Client, _ *pubsub.Hub[int]) {
			rdb.Close()
			time.Sleep(2 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				rdb := s.Client()
				topic := newTopic[int](t, rdb, "ch", func(cfg *pubsub.Config) { cfg.ProbeEvery = time.Second })
				ctx, cancel := context.WithCancel(t.Context())
				hub, err := topic.Listen(ctx)
				if err != nil {
					t.Fatal(err)
				}
				cancel() // bounds Listen, not the hub
				time.Sleep(time.Minute)
				sub := hub.Subscribe()
				publish(t, topic, 1)
				expect(t, sub, "1")
				end(t, rdb, hub)
			})
		})
	}
	t.Run("a Listen that fails", func(t *testing.T) {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			rdb := s.Client(func(o *redis.Options) {
				o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := newTopic[int](t, rdb, "ch").Listen(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Listen: %v", err)
			}
		})
	})
}

// Whatever happens: each message is received, or counted as missed, or lies where
// a gap is reported. Between two gaps nothing is missing but what was counted.
func TestLossIsNeverSilent(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		topic := newTopic[int](t, s.Client(), s.Prefix())
		hub := listen(t, newTopic[int](t, through(s, proxy), s.Prefix(), buffer(64)))
		var reading sync.WaitGroup
		logs := make([][]string, 4)
		for i := range logs {
			sub := hub.Subscribe()
			reading.Go(func() {
				for m, err := range sub.All(context.Background()) {
					logs[i] = append(logs[i], describe(m, err))
					if i > 0 && len(logs[i])%(100*i) == 0 {
						time.Sleep(time.Millisecond) // the slow ones
					}
				}
			})
		}
		const sent = 3000
		for i := range sent {
			topic.Publish(t.Context(), i)
			if i%500 == 499 {
				proxy.Cut()
			}
		}
		// A last message that is heard: all before it has been received or lost.
		redistest.Eventually(t, func() bool { n, _ := topic.Publish(t.Context(), sent); return n > 0 }, "heard")
		hub.Shutdown(within(t)) // may come before that last one is received
		reading.Wait()

		reconnects := int(hub.Stats().Reconnects)
		for i, log := range logs {
			at, missed, gaps := 0, 0, 0
			for _, entry := range log {
				var n int
				switch {
				case scan(entry, "missed %d", &n):
					if missed >= 0 { // else it adds nothing to what a gap leaves open
						missed += n
					}
				case scan(entry, "gap %d", &n):
					missed, gaps = -1, gaps+1 // from here to the next message anything may be missing
				case scan(entry, "%d", &n):
					if n < at || missed >= 0 && n != at+missed {
						t.Errorf("reader %d: %d after %d with %d missed", i, n, at-1, missed)
					}
					at, missed = n+1, 0
				default:
					t.Errorf("reader %d: %q", i, entry)
				}
			}
			if i == 0 && gaps != reconnects {
				t.Errorf("%d gaps for %d reconnects", gaps, reconnects)
			}
		}
		if reconnects == 0 || !slices.ContainsFunc(logs[3], func(e string) bool { return strings.HasPrefix(e, "missed") }) {
			t.Logf("%d reconnects; the slowest lost nothing", reconnects)
		}
	})
}

func scan(text, format string, n *int) bool {
	got, err := fmt.Sscanf(text, format, n)
	return got == 1 && err == nil
}
