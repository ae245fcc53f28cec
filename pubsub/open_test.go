package pubsub_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

// opened returns a hub of Open, or for a pattern of OpenPattern.
func opened(t *testing.T, rdb redis.UniversalClient, pattern bool, set ...func(*pubsub.Config)) *pubsub.Hub[int] {
	t.Helper()
	var cfg pubsub.Config
	for _, f := range set {
		f(&cfg)
	}
	hub, err := pubsub.OpenPattern[int](rdb, "ch*", cfg)
	if !pattern {
		hub, err = newTopic[int](t, rdb, "ch", set...).Open()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := hub.Close(); err != nil {
			t.Error(err)
		}
	})
	return hub
}

// begins checks that a subscription gets one gap and then messages that rise by one.
func begins(t *testing.T, sub *pubsub.Subscription[int], messages int) {
	t.Helper()
	gap := (*pubsub.GapError)(nil)
	if _, err := sub.Next(within(t)); !errors.As(err, &gap) || gap.Cause == nil || gap.Missed != 0 {
		t.Fatalf("the subscription begins with %v", err)
	}
	last := -1
	for range messages {
		m, err := sub.Next(within(t))
		if err != nil {
			t.Fatalf("behind message %d: %v", last, err)
		}
		if last >= 0 && m.Value != last+1 {
			t.Errorf("message %d follows %d", m.Value, last)
		}
		last = m.Value
	}
}

// publishUntil publishes 0, 1, 2 and so on until the test ends.
func publishUntil(t *testing.T, rdb redis.UniversalClient) {
	topic := newTopic[int](t, rdb, "ch")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ctx.Err() == nil; n++ {
			_, _ = topic.Publish(ctx, n)
			time.Sleep(100 * time.Microsecond)
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

func TestAnOpenedHubBeginsInsideAGap(t *testing.T) {
	t.Parallel()
	redistest.Require(t, "redis-server")
	for _, pattern := range []bool{false, true} {
		server := redistest.StartLater(t)
		hub := opened(t, server.Client(), pattern)
		early := hub.Subscribe()
		server.Launch()
		publishUntil(t, server.Client())
		begins(t, early, 20)
		late := hub.Subscribe()
		if m, err := late.Next(within(t)); err != nil {
			t.Errorf("a subscription of a hub that listens begins with %v, %v", m, err)
		}
	}
}

func TestAnOpenedHubOfAPatternOnAClusterBeginsInsideAGap(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 2)
	gate, dial := gated()
	hub := opened(t, cluster.Client(func(o *redis.ClusterOptions) { o.Dialer = dial }), true)
	early := hub.Subscribe()
	close(gate)
	publishUntil(t, cluster.Client())
	begins(t, early, 20)
}

func TestBehindTheGapOfAnOpenedHubComesTheHistory(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, channel := s.Client(), s.Prefix()
		history := func(cfg *pubsub.Config) { cfg.History = pubsub.History{Messages: 10, Age: time.Minute} }
		topic := newTopic[int](t, rdb, channel, history)
		for n := range 3 {
			if _, err := topic.Publish(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		gate, dial := gated()
		later := newTopic[int](t, s.Client(func(o *redis.Options) { o.Dialer = dial }), channel, history)
		hub, err := later.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer hub.Close()
		sub := hub.Subscribe()
		close(gate)
		begins(t, sub, 3)
	})
}

func TestAnOpenedHubListensOnceItIsPermitted(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		name, as := s.User("+@all allchannels -subscribe")
		reported := make(chan error, 100)
		hub := opened(t, s.Client(as), false, func(cfg *pubsub.Config) {
			cfg.OnError = func(_ context.Context, err error) {
				select {
				case reported <- err:
				default:
				}
			}
		})
		sub := hub.Subscribe()
		if err := <-reported; !redis.HasErrorPrefix(errors.Unwrap(err), "NOPERM") {
			t.Errorf("OnError received %v", err)
		}
		if err := s.Client().Do(t.Context(), "ACL", "SETUSER", name, "+subscribe").Err(); err != nil {
			t.Fatal(err)
		}
		begins(t, sub, 0)
	})
}

func TestAnOpenedHubIsClosedWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	proxy := redistest.StartProxy(t, redistest.Mini(t).Addr())
	proxy.Down()
	for _, pattern := range []bool{false, true} {
		hub := opened(t, redistest.Mini(t).Client(func(o *redis.Options) { o.Addr = proxy.Addr() }), pattern)
		sub := hub.Subscribe()
		if err := hub.Close(); err != nil {
			t.Error(err)
		}
		if _, err := sub.Next(within(t)); !errors.Is(err, pubsub.ErrClosed) && err != nil {
			t.Errorf("Next: %v", err)
		}
	}
}

// gated returns a dialer that waits until gate is closed.
func gated() (gate chan struct{}, dial func(context.Context, string, string) (net.Conn, error)) {
	gate = make(chan struct{})
	return gate, func(ctx context.Context, network, addr string) (net.Conn, error) {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
}
