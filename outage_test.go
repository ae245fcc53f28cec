package rediskit_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/secrets"
)

// An outage makes a server unavailable, and ends.
type outage struct {
	name string
	// start prepares a server and says how clients reach it.
	start func(b testing.TB) (cfg rediskit.Config, breakIt, mendIt func())
	// awaited means that the outage ends by itself: mendIt returns when it has ended.
	awaited bool
}

const outageLasts = 2 * time.Second

var outages = []outage{
	{name: "kill", start: func(t testing.TB) (rediskit.Config, func(), func()) {
		server := redistest.Start(t)
		return at(server.Addr()), server.Kill, server.RestartNow
	}},
	{name: "pause", start: func(t testing.TB) (rediskit.Config, func(), func()) {
		server := redistest.Start(t)
		return at(server.Addr()), server.Pause, server.Resume
	}},
	{name: "blackhole", start: func(t testing.TB) (rediskit.Config, func(), func()) {
		proxy := redistest.StartProxy(t, redistest.Start(t).Addr())
		return at(proxy.Addr()), proxy.BlackHole, proxy.Heal
	}},
	{name: "refused", start: func(t testing.TB) (rediskit.Config, func(), func()) {
		proxy := redistest.StartProxy(t, redistest.Start(t).Addr())
		return at(proxy.Addr()), proxy.Down, proxy.Up
	}},
	{name: "loading", awaited: true, start: func(t testing.TB) (rediskit.Config, func(), func()) {
		server := redistest.Start(t, "--save", "3600 1", "--enable-debug-command", "yes",
			"--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
		admin := server.Client()
		mustDo(t, admin, "debug", "populate", "2000", "k", "100")
		mustDo(t, admin, "save")
		awaitLoaded := func() {
			redistest.Eventually(t, func() bool { return admin.Ping(context.Background()).Err() == nil }, "all is loaded")
		}
		return at(server.Addr()), server.RestartNow, awaitLoaded
	}},
	{name: "failover", awaited: true, start: func(t testing.TB) (rediskit.Config, func(), func()) {
		sentinel := redistest.StartSentinel(t)
		cfg := rediskit.Config{Addrs: sentinel.Addrs(), MasterName: sentinel.MasterName(), Password: secrets.None()}
		old := sentinel.Master()
		awaitPromoted := func() {
			redistest.Eventually(t, func() bool { return sentinel.Master() != old }, "a replica is promoted")
		}
		return cfg, old.Kill, awaitPromoted
	}},
}

// caller is what one of many callers in a closed loop measured. After a failure it
// waits a millisecond before the next call, as a service does that first answers its
// own client.
type caller struct {
	slow, slowLater []time.Duration // calls of 50 ms or more that began before the breaker opened, and after
	refused         []time.Duration
}

// crowd is 64 callers of one client during an outage of its server.
type crowd struct {
	broken, mended, opened, recovered atomic.Int64 // times since born
	born                              time.Time
	callers                           [64]caller
}

func (c *crowd) now() int64 { return int64(time.Since(c.born)) }

func (c *crowd) call(ctx context.Context, rdb redis.UniversalClient, me *caller) {
	for ctx.Err() == nil {
		start := c.now()
		err := rdb.Get(context.Background(), "k").Err()
		end := c.now()
		took := time.Duration(end - start)
		switch {
		case errors.Is(err, rediskit.ErrUnavailable):
			c.opened.CompareAndSwap(0, end)
			me.refused = append(me.refused, took)
		case took < 50*time.Millisecond || c.broken.Load() == 0:
		case c.opened.Load() == 0 || start < c.opened.Load():
			me.slow = append(me.slow, took)
		default:
			me.slowLater = append(me.slowLater, took)
		}
		if err == nil || err == redis.Nil {
			if mended := c.mended.Load(); mended != 0 && start > mended {
				c.recovered.CompareAndSwap(0, end)
			}
			continue
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkOutage measures what an outage of two seconds costs 64 callers. Its results
// are in docs/outages.md:
//
//	go test -run '^$' -bench Outage -benchtime 1x .
func BenchmarkOutage(b *testing.B) {
	clients := map[string]func(cfg rediskit.Config) redis.UniversalClient{
		"rediskit": func(cfg rediskit.Config) redis.UniversalClient {
			rdb, err := rediskit.Connect(context.Background(), cfg)
			if err != nil {
				b.Fatal(err)
			}
			return rdb
		},
		"go-redis": func(cfg rediskit.Config) redis.UniversalClient {
			return redis.NewUniversalClient(&redis.UniversalOptions{Addrs: cfg.Addrs, MasterName: cfg.MasterName})
		},
	}
	for _, outage := range outages {
		for name, client := range clients {
			b.Run(outage.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					measure(b, outage, client)
				}
			})
		}
	}
}

func measure(b *testing.B, outage outage, client func(rediskit.Config) redis.UniversalClient) {
	cfg, breakIt, mendIt := outage.start(b)
	rdb := client(cfg)
	defer rdb.Close()
	ctx, stop := context.WithCancel(b.Context())
	c := &crowd{born: time.Now()}
	var running sync.WaitGroup
	for i := range c.callers {
		running.Go(func() { c.call(ctx, rdb, &c.callers[i]) })
	}
	time.Sleep(300 * time.Millisecond)
	c.broken.Store(c.now())
	breakIt()
	if outage.awaited {
		mendIt()
		c.mended.Store(c.now())
	} else {
		time.Sleep(outageLasts)
		c.mended.Store(c.now())
		mendIt()
	}
	redistest.Eventually(b, func() bool { return c.recovered.Load() != 0 }, "a call succeeds again")
	stop()
	running.Wait()

	var slow, later, refused []time.Duration
	for _, caller := range c.callers {
		slow = append(slow, caller.slow...)
		later = append(later, caller.slowLater...)
		refused = append(refused, caller.refused...)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(slow)), "slow-before-open")
	b.ReportMetric(float64(len(later)), "slow-after")
	b.ReportMetric(float64(max(longest(slow), longest(later)).Milliseconds()), "ms-slowest")
	b.ReportMetric(float64(c.recovered.Load()-c.mended.Load())/1e6, "ms-recovery")
	if len(refused) > 0 {
		slices.Sort(refused)
		b.ReportMetric(float64(c.opened.Load()-c.broken.Load())/1e6, "ms-to-open")
		b.ReportMetric(float64(len(refused)), "refused")
		b.ReportMetric(float64(refused[len(refused)/2])/1e3, "µs-refused-p50")
		b.ReportMetric(float64(refused[len(refused)*99/100])/1e3, "µs-refused-p99")
	}
}

func longest(ds []time.Duration) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	return slices.Max(ds)
}

func TestCallsAreRefusedWhileAServerIsDownAndAnsweredAfterwards(t *testing.T) {
	t.Parallel()
	for _, outage := range outages {
		t.Run(outage.name, func(t *testing.T) {
			t.Parallel()
			cfg, breakIt, mendIt := outage.start(t)
			rdb := connect(t, cfg)
			get := func() error { return rdb.Get(t.Context(), "k").Err() }
			breakIt()
			var callers sync.WaitGroup
			for range 8 { // side by side, so that each waits for one time-out at most
				callers.Go(func() { _ = get() })
			}
			callers.Wait()
			redistest.Eventually(t, func() bool { return errors.Is(get(), rediskit.ErrUnavailable) }, "calls are refused")
			mendIt()
			redistest.Eventually(t, func() bool { return get() == redis.Nil }, "calls are answered")
		})
	}
}

// If a transaction fails, go-redis sets its error on every command, also on MULTI,
// which was answered.
func TestATransactionWhoseReplyIsLostIsNotSentAgain(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr())
	rdb := connect(t, at(proxy.Addr()))
	proxy.DropReply("exec")
	_, err := rdb.TxPipelined(t.Context(), func(tx redis.Pipeliner) error {
		tx.Incr(t.Context(), "charged")
		tx.Incr(t.Context(), "charged")
		return nil
	})
	if err == nil {
		t.Error("the reply was lost, and no error")
	}
	if got, err := server.Client().Get(t.Context(), "charged").Int(); err != nil || got != 2 {
		t.Errorf("the transaction of two INCR left %d, %v", got, err)
	}
}

// A Conn and a Watch use one connection only. When that connection ends, they fail; this
// says nothing about the server.
func TestEndsOfConnAndWatchConnectionsDoNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := connect(t, at(server.Addr()))
	var conns []*redis.Conn
	for range 8 {
		conn := rdb.(*redis.Client).Conn()
		defer conn.Close()
		if err := conn.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	mustDo(t, server.Client(), "client", "kill", "type", "normal", "skipme", "yes")
	for _, conn := range conns {
		for range 2 {
			if err := conn.Ping(t.Context()).Err(); err == nil || errors.Is(err, rediskit.ErrUnavailable) {
				t.Fatalf("a connection that the server has closed: %v", err)
			}
		}
	}
	if err := rdb.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the server was up all the time: %v", err)
	}
}

// Blocking commands use every connection of the pool. The time-out of a call that waits
// for a connection says nothing about the server.
func TestAPoolFullOfBlockingCommandsDoesNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cfg := at(server.Addr())
	cfg.PoolSize, cfg.PoolTimeout = 2, 20*time.Millisecond
	rdb := connect(t, cfg)
	var workers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range cfg.PoolSize {
		workers.Go(func() { _ = rdb.BLPop(ctx, time.Second, "jobs").Err() })
	}
	admin := server.Client()
	redistest.Eventually(t, func() bool {
		blocked, _ := admin.Info(t.Context(), "clients").Result()
		return strings.Contains(blocked, "blocked_clients:2")
	}, "both workers block")
	for range 8 {
		if err := rdb.Get(t.Context(), "k").Err(); !errors.Is(err, redis.ErrPoolTimeout) {
			t.Errorf("got %v, want a wait for a connection that ends in vain", err)
		}
	}
	pipe := rdb.Pipeline()
	pipe.Get(t.Context(), "k")
	if _, err := pipe.Exec(t.Context()); err != redis.Nil {
		t.Errorf("a pipeline, which has connections of its own: %v", err)
	}
	stop()
	workers.Wait()
}
