package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// An Event is what services publish on conversation:updates.
type Event struct {
	ConversationID string         `json:"conversation_id"`
	Event          string         `json:"event"`
	Data           map[string]any `json:"data,omitempty"`
}

func newTopic[T any](t testing.TB, rdb redis.UniversalClient, channel string, set ...func(*pubsub.Config)) *pubsub.Topic[T] {
	t.Helper()
	var cfg pubsub.Config
	for _, f := range set {
		f(&cfg)
	}
	topic, err := pubsub.NewTopic[T](rdb, channel, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func listen[T any](t testing.TB, topic *pubsub.Topic[T]) *pubsub.Hub[T] {
	t.Helper()
	hub, err := topic.Listen(within(t))
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

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// publish fails the test unless one connection listens.
func publish[T any](t testing.TB, topic *pubsub.Topic[T], v T) {
	t.Helper()
	if n, err := topic.Publish(t.Context(), v); n != 1 || err != nil {
		t.Errorf("Publish: %d receivers, %v", n, err)
	}
}

func buffer(n int) func(*pubsub.Config) { return func(cfg *pubsub.Config) { cfg.Buffer = n } }
func liveness(d time.Duration) func(*pubsub.Config) {
	return func(cfg *pubsub.Config) { cfg.Liveness = d }
}

func through(s *redistest.Server, proxy *redistest.Proxy) *redis.Client {
	return s.Client(func(o *redis.Options) { o.Addr = proxy.Addr() })
}

// next is what the subscription brings next, as text.
func next[T any](t testing.TB, sub *pubsub.Subscription[T]) string {
	t.Helper()
	m, err := sub.Next(within(t))
	return describe(m, err)
}

func describe[T any](m pubsub.Message[T], err error) string {
	var gap *pubsub.GapError
	var bad *pubsub.DecodeError
	switch {
	case err == nil:
		return fmt.Sprint(m.Value)
	case errors.As(err, &gap) && gap.Cause == nil:
		return fmt.Sprint("missed ", gap.Missed)
	case errors.As(err, &gap):
		return fmt.Sprint("gap ", gap.Missed)
	case errors.As(err, &bad):
		return "bad " + string(bad.Raw)
	default:
		return "end " + err.Error()
	}
}

// expect fails the test unless the subscription brings exactly want next.
func expect[T any](t testing.TB, sub *pubsub.Subscription[T], want ...string) {
	t.Helper()
	for _, w := range want {
		if got := next(t, sub); got != w {
			t.Fatalf("received %q, want %q", got, w)
		}
	}
}

// killListeners ends the connections called name, and only those that listen.
func killListeners(t testing.TB, rdb *redis.Client, name string) {
	t.Helper()
	for line := range strings.Lines(rdb.ClientList(t.Context()).Val()) {
		fields := strings.Fields(line)
		if slices.Contains(fields, "name="+name) && !(slices.Contains(fields, "sub=0") && slices.Contains(fields, "psub=0")) {
			id := strings.TrimPrefix(fields[0], "id=")
			if err := rdb.ClientKillByFilter(t.Context(), "ID", id).Err(); err != nil {
				t.Error(err)
			}
		}
	}
}
