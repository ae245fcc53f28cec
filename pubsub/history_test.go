package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

// history keeps n messages for a minute.
func history(n int) func(*pubsub.Config) {
	return func(cfg *pubsub.Config) { cfg.History = pubsub.History{Messages: n, Age: time.Minute} }
}

func publishAll(t testing.TB, topic *pubsub.Topic[int], from, to int) {
	t.Helper()
	var values []int
	for i := from; i < to; i++ {
		values = append(values, i)
	}
	if err := topic.PublishAll(t.Context(), values...); err != nil {
		t.Fatal(err)
	}
}

// expectRange fails the test unless the subscription brings these numbers next.
func expectRange(t testing.TB, sub *pubsub.Subscription[int], from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		expect(t, sub, fmt.Sprint(i))
	}
}

// positionOf reads the next message, which must be want, and returns its position.
func positionOf(t testing.TB, sub *pubsub.Subscription[int], want int) string {
	t.Helper()
	m, err := sub.Next(within(t))
	if err != nil || m.Value != want || m.Position == "" {
		t.Fatalf("received %+v, %v; want %d with a position", m, err, want)
	}
	return m.Position
}

func after(t testing.TB, hub *pubsub.Hub[int], position string) *pubsub.Subscription[int] {
	t.Helper()
	sub, err := hub.SubscribeAfter(within(t), position)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func TestEachMessageHasAPositionOfItsOwn(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		topic := newTopic[int](t, s.Client(), s.Prefix(), history(100))
		sub := listen(t, topic).Subscribe()
		publishAll(t, topic, 0, 50)
		for i := 50; i < 60; i++ {
			publish(t, topic, i)
		}
		seen := map[string]bool{}
		for i := range 60 {
			position := positionOf(t, sub, i)
			if seen[position] {
				t.Fatalf("two messages at %s", position)
			}
			seen[position] = true
		}
	})
}

// What is missed while the connection is away comes from the history, once and in order.
func TestALostConnectionHeals(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		hub := listen(t, newTopic[int](t, through(s, proxy), s.Prefix(), history(1000)))
		topic := newTopic[int](t, s.Client(), s.Prefix(), history(1000))
		subs := []*pubsub.Subscription[int]{hub.Subscribe(), hub.Subscribe()}
		publishAll(t, topic, 0, 10)
		expectRange(t, subs[0], 0, 10)
		for i := 1; i < 5; i++ {
			proxy.Down()
			publishAll(t, topic, i*100, i*100+90)
			proxy.Up()
			expectRange(t, subs[0], i*100, i*100+90)
			publishAll(t, topic, i*100+90, i*100+100)
			expectRange(t, subs[0], i*100+90, i*100+100)
		}
		expectRange(t, subs[1], 0, 10)
		expectRange(t, subs[1], 100, 500)
		if got := hub.Stats(); got.Reconnects != 4 || got.Gaps != 0 || got.Healed != 360 {
			t.Errorf("stats = %+v", got)
		}
	})
}

// The connection is killed again and again while messages are published one by one.
func TestNoMessageIsLostOrTwiceWhileConnectionsAreKilled(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(func(o *redis.Options) { o.ClientName = s.Prefix() })
		topic := newTopic[int](t, rdb, s.Prefix(), history(10_000))
		hub := listen(t, topic)
		sub := hub.Subscribe()
		const messages = 2000
		published := redistest.Async(func() (any, error) {
			for i := range messages {
				if _, err := topic.Publish(t.Context(), i); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})
		for i := range messages {
			if i%100 == 50 {
				killListeners(t, s.Client(), s.Prefix())
			}
			expect(t, sub, fmt.Sprint(i))
		}
		if err := (<-published).Err; err != nil {
			t.Fatal(err)
		}
		if got := hub.Stats(); got.Reconnects == 0 || got.Healed == 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestWhatTheHistoryHasNoMoreIsAGap(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		hub := listen(t, newTopic[int](t, through(s, proxy), s.Prefix(), history(10)))
		topic := newTopic[int](t, s.Client(), s.Prefix(), history(10))
		sub := hub.Subscribe()
		publish(t, topic, 0)
		expect(t, sub, "0")
		proxy.Down()
		publishAll(t, topic, 1, 1000)
		proxy.Up()
		expect(t, sub, "gap 0")
		m, err := sub.Next(within(t))
		if err != nil || m.Value < 800 || m.Value > 990 {
			t.Fatalf("received %d, %v", m.Value, err)
		}
		expectRange(t, sub, m.Value+1, 1000)
		publish(t, topic, 1000)
		expect(t, sub, "1000")
	})
}

func TestALostHistoryIsAGap(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		hub := listen(t, newTopic[int](t, through(s, proxy), s.Prefix(), history(10)))
		topic := newTopic[int](t, s.Client(), s.Prefix(), history(10))
		sub := hub.Subscribe()
		publishAll(t, topic, 0, 5)
		expectRange(t, sub, 0, 5)
		proxy.Down()
		publishAll(t, topic, 5, 6)
		if n := s.Client().Del(t.Context(), keys.Sibling("history", s.Prefix()), keys.Sibling("newest", s.Prefix())).Val(); n != 2 {
			t.Fatalf("%d keys deleted", n)
		}
		publishAll(t, topic, 6, 7)
		proxy.Up()
		expect(t, sub, "gap 0", "6")
		publish(t, topic, 7)
		expect(t, sub, "7")
	})
}

func TestSubscribeAfterBeginsBehindAPosition(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		topic := newTopic[int](t, s.Client(), s.Prefix(), history(100))
		hub := listen(t, topic)
		sub := hub.Subscribe()
		publishAll(t, topic, 0, 20)
		var positions []string
		for i := range 20 {
			positions = append(positions, positionOf(t, sub, i))
		}
		// In the same hub, and in one that was not there when they were published.
		for _, hub := range []*pubsub.Hub[int]{hub, listen(t, topic)} {
			for _, i := range []int{0, 7, 19} {
				expectRange(t, after(t, hub, positions[i]), i+1, 20)
			}
		}
		last := after(t, hub, positions[19])
		topic.Publish(t.Context(), 20)
		expect(t, last, "20")
	})
}

func TestSubscribeAfterTellsThatAPositionIsNotThere(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		topic := newTopic[int](t, s.Client(), s.Prefix(), history(100))
		hub := listen(t, topic)
		sub := hub.Subscribe()
		publishAll(t, topic, 0, 4)
		expectRange(t, sub, 0, 3)
		newest := positionOf(t, sub, 3)
		for _, tt := range []struct {
			position string
			want     []string
		}{
			{"1-1", []string{"gap 0", "0", "1", "2", "3", "4"}},
			{strings.TrimRight(newest, "0123456789") + "77", []string{"gap 0", "4"}},
			{"9999999999999999-1", []string{"gap 0", "4"}},
		} {
			sub := after(t, hub, tt.position)
			_, err := sub.Next(within(t))
			if !errors.Is(err, pubsub.ErrNotInHistory) {
				t.Errorf("behind %s: %v", tt.position, err)
			}
			defer expect(t, sub, tt.want[1:]...)
		}
		publish(t, topic, 4)
		for _, position := range []string{"", "x", "1", "1-", "-1", "01-1", "1-1 ", "99999999999999999999999-1", "0-0"} {
			if _, err := hub.SubscribeAfter(t.Context(), position); !errors.Is(err, pubsub.ErrPosition) {
				t.Errorf("behind %q: %v", position, err)
			}
		}
		plain := listen(t, newTopic[int](t, s.Client(), s.Prefix()))
		if _, err := plain.SubscribeAfter(t.Context(), newest); !errors.Is(err, pubsub.ErrNoHistory) {
			t.Errorf("without a history: %v", err)
		}
	})
}

func TestMessagesOfOtherProgramsHaveNoPosition(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client(func(o *redis.Options) { o.ClientName = s.Prefix() })
		topic := newTopic[int](t, rdb, s.Prefix(), history(100))
		hub := listen(t, topic)
		sub := hub.Subscribe()
		publish(t, topic, 0)
		rdb.Publish(t.Context(), s.Prefix(), "1")
		publish(t, topic, 2)
		positionOf(t, sub, 0)
		if m, err := sub.Next(within(t)); err != nil || m.Value != 1 || m.Position != "" {
			t.Errorf("received %+v, %v", m, err)
		}
		positionOf(t, sub, 2)
		// Such messages may be missing, and the history does not have them.
		killListeners(t, s.Client(), s.Prefix())
		expect(t, sub, "gap 0")
		redistest.Eventually(t, func() bool { n, _ := topic.Publish(t.Context(), 3); return n == 1 }, "heard again")
		var err error
		for m := (pubsub.Message[int]{Value: 3}); m.Value == 3 && err == nil; {
			topic.Publish(t.Context(), 4)
			m, err = sub.Next(within(t))
		}
	})
}

func TestHistoryExpires(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		ctx, rdb := t.Context(), s.Client()
		topic := newTopic[int](t, rdb, s.Prefix(), history(100))
		publishAll(t, topic, 0, 1)
		if ttl := rdb.PTTL(ctx, keys.Sibling("history", s.Prefix())).Val(); ttl <= 0 || ttl > time.Minute {
			t.Errorf("the history has %v left", ttl)
		}
		if ttl := rdb.PTTL(ctx, keys.Sibling("newest", s.Prefix())).Val(); ttl <= time.Minute || ttl > 169*time.Hour {
			t.Errorf("the newest position has %v left", ttl)
		}
	})
}

func TestImpossibleHistories(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	for want, cfg := range map[string]pubsub.Config{
		"Config.History.Messages is -1":          {History: pubsub.History{Messages: -1}},
		"Config.History.Messages is 1000001":     {History: pubsub.History{Messages: 1_000_001}},
		"Config.History.Age is 1ms":              {History: pubsub.History{Age: time.Millisecond}},
		"Config.History.Age is 169h0m0s":         {History: pubsub.History{Age: 169 * time.Hour}},
		"Config.Buffer is 99; it must be at lea": {History: pubsub.History{Messages: 100}, Buffer: 99},
	} {
		if _, err := pubsub.NewTopic[int](rdb, "ch", cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	_, err := pubsub.ListenPattern[int](context.Background(), rdb, "ch*", pubsub.Config{History: pubsub.History{Messages: 1}})
	if err == nil || !strings.Contains(err.Error(), "Config.History is set for a pattern") {
		t.Errorf("a pattern: %v", err)
	}
}
