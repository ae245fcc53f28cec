package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

func TestListenReturnsOnceConfirmed(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for range 20 {
			topic := newTopic[int](t, s.Client(), s.Prefix())
			hub := listen(t, topic)
			sub := hub.Subscribe()
			// The server may still count the hub before this one.
			if n, err := topic.Publish(t.Context(), 1); n < 1 || err != nil {
				t.Errorf("%d receivers, %v", n, err)
			}
			expect(t, sub, "1")
			hub.Close()
		}
	})
}

func TestEverySubscriptionGetsEveryMessage(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		topic := newTopic[int](t, s.Client(), s.Prefix())
		hub := listen(t, topic)
		first := hub.Subscribe()
		publish(t, topic, -1)
		expect(t, first, "-1") // and later subscriptions do not get it
		first.Close()
		var subs []*pubsub.Subscription[int]
		for range 10 {
			subs = append(subs, hub.Subscribe())
		}
		for i := range 100 {
			publish(t, topic, i)
		}
		for _, sub := range subs {
			for i := range 100 {
				expect(t, sub, fmt.Sprint(i))
			}
		}
		if got := hub.Stats(); got.Delivered != 1001 || got.Subscribers != 10 || got.Missed != 0 || got.Gaps != 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestAPatternsMessagesNameTheirChannel(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		hub, err := pubsub.ListenPattern[int](within(t), rdb, s.Prefix()+":*", pubsub.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer hub.Close()
		sub := hub.Subscribe()
		for i, ch := range []string{s.Prefix() + ":a", s.Prefix() + ":b"} {
			publish(t, newTopic[int](t, rdb, ch), i)
			if m, err := sub.Next(within(t)); err != nil || m.Channel != ch || m.Value != i {
				t.Errorf("got %+v, %v", m, err)
			}
		}
	})
}

func TestWidePatternLeavesOutTheLibrarysOwn(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	hub, err := pubsub.ListenPattern[int](within(t), rdb, "*", pubsub.Config{ProbeEvery: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	sub := hub.Subscribe()
	for range 5 {
		time.Sleep(20 * time.Millisecond) // some probes pass
		rdb.Publish(t.Context(), "rediskit:anything", "1")
	}
	publish(t, newTopic[int](t, rdb, "ch"), 2)
	expect(t, sub, "2")
}

func TestBadPayloadStandsInItsPlace(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, ch := s.Client(), s.Prefix()
		hub := listen(t, newTopic[int](t, rdb, ch))
		subs := []*pubsub.Subscription[int]{hub.Subscribe(), hub.Subscribe()}
		for _, payload := range []string{"1", `"canary"`, "2", `{"canary`, "", "3"} {
			if err := rdb.Publish(t.Context(), ch, payload).Err(); err != nil {
				t.Fatal(err)
			}
		}
		for _, sub := range subs {
			expect(t, sub, "1", `bad "canary"`, "2", `bad {"canary`, "bad ", "3")
		}
		rdb.Publish(t.Context(), ch, `"canary"`)
		_, err := subs[0].Next(within(t))
		var bad *pubsub.DecodeError
		if !errors.As(err, &bad) || bad.Channel != ch || strings.Contains(err.Error(), "canary") {
			t.Errorf("got %v", err)
		}
		if got := hub.Stats(); got.DecodeErrors != 4 || got.Received != 7 {
			t.Errorf("stats = %+v", got)
		}
	})
}

type touchy int

func (v *touchy) UnmarshalJSON(b []byte) error {
	if string(b) == "13" {
		panic("canary")
	}
	*v = touchy(len(b))
	return nil
}

func TestPanickingDecoderIsABadPayload(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		topic := newTopic[touchy](t, s.Client(), s.Prefix())
		sub := listen(t, topic).Subscribe()
		for _, payload := range []string{"1", "13", "333"} {
			s.Client().Publish(t.Context(), s.Prefix(), payload)
		}
		expect(t, sub, "1", "bad 13", "3")
	})
}

func TestASlowSubscriptionLosesItsOldestAndDelaysNoOther(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		const size, sent = 100, 1000
		topic := newTopic[int](t, s.Client(), s.Prefix(), buffer(size))
		hub := listen(t, topic)
		stuck, slow := hub.Subscribe(), hub.Subscribe()
		quick := hub.Subscribe()
		for i := range sent {
			publish(t, topic, i)
			expect(t, quick, fmt.Sprint(i))
		}
		// quick has read all, so the hub has received all.
		received, missed := 0, 0
		for received+missed < sent {
			m, err := slow.Next(within(t))
			var gap *pubsub.GapError
			switch {
			case err == nil && m.Value == missed+received:
				received++
			case errors.As(err, &gap) && gap.Cause == nil:
				missed += int(gap.Missed)
			default:
				t.Fatalf("%d, %v after %d and %d", m.Value, err, received, missed)
			}
		}
		if received != size || missed != sent-size {
			t.Errorf("received %d and missed %d of %d, with a buffer of %d", received, missed, sent, size)
		}
		if got := hub.Stats(); got.Missed != uint64(missed) || got.Gaps != 1 || got.Received != sent {
			t.Errorf("stats = %+v", got)
		}
		stuck.Close()
	})
}

func TestAGapThatWasDroppedIsReportedWithTheDroppedMessages(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		topic := newTopic[int](t, through(s, proxy), s.Prefix(), buffer(2))
		hub := listen(t, topic)
		slow, quick := hub.Subscribe(), hub.Subscribe()
		for i := range 3 {
			publish(t, topic, i)
			expect(t, quick, fmt.Sprint(i))
		}
		proxy.Cut()
		expect(t, quick, "gap 0")
		again := newTopic[int](t, s.Client(), s.Prefix())
		for i := range 4 {
			publish(t, again, 10+i)
			expect(t, quick, fmt.Sprint(10+i))
		}
		expect(t, slow, "gap 5", "12", "13")
	})
}

func TestNextEndsWithItsContextAndGoesOn(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		topic := newTopic[int](t, s.Client(), "ch")
		hub := listen(t, topic)
		sub := hub.Subscribe()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if _, err := sub.Next(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("Next: %v after %v", err, time.Since(start))
		}
		publish(t, topic, 1)
		for range sub.All(ctx) {
			t.Error("All yields although its context has ended")
		}
		if err := sub.Err(); err != nil {
			t.Errorf("Err: %v", err)
		}
		expect(t, sub, "1")
		hub.Close()
	})
}

func TestAllStopsWhenTheSubscriptionEnds(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		topic := newTopic[int](t, s.Client(), s.Prefix())
		hub := listen(t, topic)
		ended := make(chan error)
		for i, end := range []func(*pubsub.Subscription[int]){
			func(sub *pubsub.Subscription[int]) { sub.Close() },
			func(*pubsub.Subscription[int]) { hub.Close() },
		} {
			sub := hub.Subscribe()
			got := make(chan int, 1)
			go func() {
				for m, err := range sub.All(context.Background()) {
					if err != nil {
						t.Error(err)
					}
					got <- m.Value
				}
				ended <- sub.Err()
			}()
			publish(t, topic, i)
			if v := <-got; v != i {
				t.Errorf("got %d", v)
			}
			end(sub)
			if err := <-ended; !errors.Is(err, pubsub.ErrClosed) {
				t.Errorf("Err: %v", err)
			}
			sub.Close()
		}
		sub := hub.Subscribe()
		if _, err := sub.Next(t.Context()); !errors.Is(err, pubsub.ErrClosed) || !errors.Is(sub.Err(), pubsub.ErrClosed) {
			t.Errorf("a subscription of a closed hub: %v, %v", err, sub.Err())
		}
		if n := hub.Stats().Subscribers; n != 0 {
			t.Errorf("%d subscribers", n)
		}
	})
}

func TestShutdownLetsSubscriptionsReadWhatIsThere(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		topic := newTopic[int](t, s.Client(), s.Prefix())
		hub := listen(t, topic)
		idle, waiting, behind, closed := hub.Subscribe(), hub.Subscribe(), hub.Subscribe(), hub.Subscribe()
		for i := range 10 {
			publish(t, topic, i)
		}
		for i := range 10 {
			expect(t, idle, fmt.Sprint(i))
			expect(t, waiting, fmt.Sprint(i))
		}
		woken := redistest.Async(func() (any, error) { _, err := waiting.Next(t.Context()); return nil, err })
		down := redistest.Async(func() (any, error) { return nil, hub.Shutdown(within(t)) })
		redistest.Eventually(t, func() bool { return s.Client().PubSubNumSub(t.Context(), s.Prefix()).Val()[s.Prefix()] == 0 }, "nothing more is received")
		for i := range 10 {
			expect(t, behind, fmt.Sprint(i))
		}
		if _, err := behind.Next(t.Context()); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("after the last message: %v", err)
		}
		select {
		case <-down:
			t.Error("Shutdown has not waited for a subscription")
		default:
		}
		closed.Close()
		if err := (<-down).Err; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := (<-woken).Err; !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("a waiting Next: %v", err)
		}
		if !errors.Is(idle.Err(), pubsub.ErrClosed) {
			t.Errorf("idle: %v", idle.Err())
		}
		if err := hub.Shutdown(t.Context()); err != nil {
			t.Errorf("a second Shutdown: %v", err)
		}
	})
}

func TestShutdownDiscardsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		topic := newTopic[int](t, s.Client(), "ch")
		hub := listen(t, topic)
		stuck, quick := hub.Subscribe(), hub.Subscribe()
		publish(t, topic, 1)
		expect(t, quick, "1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := hub.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("Shutdown: %v after %v", err, time.Since(start))
		}
		if _, err := stuck.Next(t.Context()); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("stuck: %v", err)
		}
	})
}

func TestShutdownWithNothingToReadNeedsNoTime(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	rdb := redistest.Mini(t).Client()
	for range 20 {
		topic := newTopic[int](t, rdb, "ch")
		hub := listen(t, topic)
		hub.Subscribe()
		if err := hub.Shutdown(ended); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	}
}

func TestConcurrentSubscribeCloseAndDispatch(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		topic := newTopic[int](t, s.Client(), s.Prefix(), buffer(16))
		hub := listen(t, topic)
		ctx, cancel := context.WithCancel(t.Context())
		var publisher, readers sync.WaitGroup
		publisher.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				topic.PublishAll(ctx, i, i, i)
			}
		})
		// Each reader runs until the hub is closed under its hands.
		var rounds atomic.Int64
		for range 8 {
			readers.Go(func() {
				for {
					sub, shared := hub.Subscribe(), hub.Subscribe()
					other := redistest.Async(func() (any, error) {
						for range 3 {
							shared.Next(ctx)
						}
						return nil, nil
					})
					for range 20 {
						if _, err := sub.Next(ctx); errors.Is(err, pubsub.ErrClosed) {
							<-other
							return
						}
					}
					hub.Stats()
					shared.Close()
					<-other
					sub.Close()
					rounds.Add(1)
				}
			})
		}
		redistest.Eventually(t, func() bool { return rounds.Load() > 100 }, "many subscriptions came and went")
		hub.Close()
		readers.Wait()
		cancel()
		publisher.Wait()
		if n := hub.Stats().Subscribers; n != 0 {
			t.Errorf("%d subscribers are left", n)
		}
	})
}

func TestTenThousandSubscriptionsOnOneConnection(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		topic := newTopic[int](t, rdb, s.Prefix())
		hub := listen(t, topic)
		const readers, sent = 10_000, 20
		stuck := hub.Subscribe()
		var reading sync.WaitGroup
		for range readers {
			sub := hub.Subscribe()
			reading.Go(func() {
				defer sub.Close()
				for i := range sent {
					if m, err := sub.Next(context.Background()); err != nil || m.Value != i {
						t.Errorf("got %d, %v; want %d", m.Value, err, i)
						return
					}
				}
			})
		}
		for i := range sent {
			publish(t, topic, i)
		}
		reading.Wait()
		if n := rdb.PubSubNumSub(t.Context(), s.Prefix()).Val()[s.Prefix()]; n != 1 {
			t.Errorf("%d connections", n)
		}
		if got := hub.Stats(); got.Delivered != readers*sent || got.Missed != 0 {
			t.Errorf("stats = %+v", got)
		}
		stuck.Close()
	})
}

func TestListenSaysWhyRedisRefuses(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "right")
	_, err := newTopic[int](t, server.Client(), "ch", func(cfg *pubsub.Config) { cfg.Name = "updates" }).Listen(within(t))
	if !redis.IsAuthError(err) || !strings.HasPrefix(err.Error(), "pubsub: listen updates: ") {
		t.Errorf("Listen: %v", err)
	}
}
