package pubsub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

// What JSON.stringify writes: no spaces, no escapes of <, > and &.
const typescript = `{"conversation_id":"617933e2-fc8c-4f7a-9545-046652db0b95","event":"message_received","data":{"text":"<b>E amanhã?</b> & 😀","at":1764244800000}}`

func TestMessagesOfOtherLanguagesAreRead(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, ch := s.Client(), s.Prefix()
		sub := listen(t, newTopic[Event](t, rdb, ch)).Subscribe()
		if n, err := rdb.Publish(t.Context(), ch, typescript).Result(); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		got, err := sub.Next(within(t))
		want := pubsub.Message[Event]{
			Value: Event{
				ConversationID: "617933e2-fc8c-4f7a-9545-046652db0b95", Event: "message_received",
				Data: map[string]any{"text": "<b>E amanhã?</b> & 😀", "at": 1764244800000.0},
			},
			Raw: []byte(typescript), Channel: ch,
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	})
}

func TestPublishedBytesArePlainJSON(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, ch := s.Client(), s.Prefix()
		other := rdb.Subscribe(t.Context(), ch)
		defer other.Close()
		if _, err := other.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		event := Event{ConversationID: "c1", Event: "ended", Data: map[string]any{"n": 1.0}}
		publish(t, newTopic[Event](t, rdb, ch), event)
		m, err := other.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := `{"conversation_id":"c1","event":"ended","data":{"n":1}}`; m.Payload != want {
			t.Errorf("published %s, want %s", m.Payload, want)
		}
	})
}

func TestPublishCountsListeningConnections(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		topic := newTopic[int](t, s.Client(), s.Prefix())
		if n, err := topic.Publish(t.Context(), 0); n != 0 || err != nil {
			t.Errorf("without a listener: %d, %v", n, err)
		}
		for want := range int64(3) {
			hub := listen(t, topic)
			hub.Subscribe()
			hub.Subscribe()
			if n, err := topic.Publish(t.Context(), 0); n != want+1 || err != nil {
				t.Errorf("%d, %v; want %d", n, err, want+1)
			}
		}
		if got := topic.Stats(); got.Published != 4 || got.RedisErrors != 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestPublishAllIsOneRoundTripInOrder(t *testing.T) {
	t.Parallel()
	for name, kept := range map[string]func(*pubsub.Config){"plain": func(*pubsub.Config) {}, "history": history(1000)} {
		t.Run(name, func(t *testing.T) {
			redistest.Run(t, func(t *testing.T, s *redistest.Server) {
				rdb := s.Client()
				topic := newTopic[int](t, rdb, s.Prefix(), kept)
				sub := listen(t, topic).Subscribe()
				publish(t, topic, -1) // the server knows the script from now on
				expect(t, sub, "-1")
				values := make([]int, 500)
				for i := range values {
					values[i] = i
				}
				trips := redistest.Trips(rdb)
				if err := topic.PublishAll(t.Context(), values...); err != nil {
					t.Fatal(err)
				}
				if err := topic.PublishAll(t.Context()); err != nil {
					t.Error(err)
				}
				if n := trips.Take(); n != 1 {
					t.Errorf("%d round trips", n)
				}
				for i := range values {
					expect(t, sub, fmt.Sprint(i))
				}
				publish(t, topic, 500)
				if n := trips.Take(); n != 1 {
					t.Errorf("%d round trips for one message", n)
				}
			})
		})
	}
}

func TestPublishAllDividesWhatIsLarge(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		trips := redistest.Trips(rdb)
		topic := newTopic[string](t, rdb, s.Prefix(), buffer(1<<14))
		sub := listen(t, topic).Subscribe()
		publish(t, topic, "")
		expect(t, sub, "")
		long := strings.Repeat("x", 400<<10)
		for _, test := range []struct{ number, size, trips int }{
			{1000, 1, 1}, {1001, 1, 2}, {2500, 1, 3}, {5, len(long), 3}, {2, 3 * len(long), 2},
		} {
			values := make([]string, test.number)
			for i := range values {
				values[i] = fmt.Sprint(i, strings.Repeat("x", test.size))
			}
			trips.Take()
			if err := topic.PublishAll(t.Context(), values...); err != nil {
				t.Fatal(err)
			}
			if n := trips.Take(); n != test.trips {
				t.Errorf("%d values of %d bytes: %d round trips, want %d", test.number, test.size, n, test.trips)
			}
			expect(t, sub, values...)
		}
	})
}

func TestPublishIsNeverSentTwice(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		retrying := s.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), 3 })
		topic := newTopic[int](t, retrying, s.Prefix())
		sub := listen(t, newTopic[int](t, s.Client(), s.Prefix())).Subscribe()
		publish(t, topic, 0) // the server knows the script from now on
		expect(t, sub, "0")
		proxy.DropReply(s.Prefix())
		if _, err := topic.Publish(t.Context(), 1); err == nil {
			t.Error("no error, though the reply was lost")
		}
		proxy.DropReply(s.Prefix())
		if err := topic.PublishAll(t.Context(), 2, 3); err == nil {
			t.Error("no error, though the replies were lost")
		}
		expect(t, sub, "1", "2", "3")
		publish(t, newTopic[int](t, s.Client(), s.Prefix()), 4)
		expect(t, sub, "4")
		if got := topic.Stats(); got.Published != 1 || got.RedisErrors != 2 {
			t.Errorf("stats = %+v", got)
		}
	})
}

type secretive struct{ s string }

func (v secretive) MarshalJSON() ([]byte, error) { return nil, errors.New("cannot encode " + v.s) }

func TestErrorsOfPublish(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client()
	topic := newTopic[secretive](t, rdb, "ch", func(cfg *pubsub.Config) { cfg.Name = "updates" })
	for _, err := range []error{
		func() error { _, err := topic.Publish(t.Context(), secretive{"canary"}); return err }(),
		topic.PublishAll(t.Context(), secretive{"canary"}),
	} {
		if !errors.Is(err, pubsub.ErrEncode) || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "updates") {
			t.Errorf("got %v", err)
		}
	}
	numbers := newTopic[int](t, rdb, "ch")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := numbers.Publish(ended, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	rdb.Close()
	if _, err := numbers.Publish(t.Context(), 1); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("closed client: %v", err)
	}
	if err := numbers.PublishAll(t.Context(), 1); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("closed client: %v", err)
	}
	if _, err := numbers.Listen(within(t)); !errors.Is(err, pubsub.ErrClientClosed) {
		t.Errorf("Listen: %v", err)
	}
}

func TestImpossibleSettingsAreNamed(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	for want, test := range map[string]struct {
		rdb     redis.UniversalClient
		channel string
		cfg     pubsub.Config
	}{
		"client":     {nil, "ch", pubsub.Config{}},
		"a client":   {(*redis.Client)(nil), "ch", pubsub.Config{}},
		"a client;":  {(*redis.ClusterClient)(nil), "ch", pubsub.Config{}},
		"Ring":       {ring, "ch", pubsub.Config{}},
		"empty":      {rdb, "", pubsub.Config{}},
		"rediskit:":  {rdb, "rediskit:probe:x", pubsub.Config{}},
		"Buffer":     {rdb, "ch", pubsub.Config{Buffer: -1}},
		"Liveness":   {rdb, "ch", pubsub.Config{Liveness: 1}},
		"to 1h":      {rdb, "ch", pubsub.Config{Liveness: math.MaxInt64}},
		"ProbeEvery": {rdb, "ch", pubsub.Config{ProbeEvery: -1}},
	} {
		if _, err := pubsub.NewTopic[int](test.rdb, test.channel, test.cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("NewTopic: %v, want %q in it", err, want)
		}
		if _, err := pubsub.ListenPattern[int](t.Context(), test.rdb, test.channel, test.cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ListenPattern: %v, want %q in it", err, want)
		}
	}
}

func TestOnAClusterMessagesStayInOrder(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	topic := newTopic[json.Number](t, cluster.Client(), "conversation:updates")
	sub := listen(t, topic).Subscribe()
	for i := range 300 {
		if _, err := topic.Publish(t.Context(), json.Number(fmt.Sprint(2*i))); err != nil {
			t.Fatal(err)
		}
		if err := topic.PublishAll(t.Context(), json.Number(fmt.Sprint(2*i+1))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 600 {
		expect(t, sub, fmt.Sprint(i))
	}
}

func TestOnAClusterAFailedPublishAsksForTheMapAnew(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 1)
	rdb := cluster.Client()
	var down atomic.Bool
	rdb.OnNewNode(func(node *redis.Client) {
		node.AddHook(redistest.Commands(func(next func() error, names ...string) error {
			if down.Load() && names[0] == "evalsha" {
				return io.EOF
			}
			return next()
		}))
	})
	topic := newTopic[int](t, rdb, "ch")
	asked := func() string {
		stats := cluster.Nodes()[0].Client().Info(t.Context(), "commandstats").Val()
		_, calls, _ := strings.Cut(stats, "cmdstat_cluster|slots:")
		calls, _, _ = strings.Cut(calls, ",")
		return calls
	}
	for name, publish := range map[string]func() error{
		"Publish":    func() error { _, err := topic.Publish(t.Context(), 1); return err },
		"PublishAll": func() error { return topic.PublishAll(t.Context(), 1, 2) },
	} {
		down.Store(false)
		if err := publish(); err != nil {
			t.Fatal(err)
		}
		before := asked()
		down.Store(true)
		redistest.Eventually(t, func() bool { // go-redis forgets a wish that comes while it reads the map
			if err := publish(); err == nil {
				t.Fatalf("%s: no error", name)
			}
			return asked() != before
		}, name, ": it asked where the primaries are")
	}
}
