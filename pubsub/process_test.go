package pubsub_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

const patience = 2 * time.Second

// listener prints what it receives.
var listener = redistest.Child("listener", func(args []string) {
	rdb := redis.NewClient(&redis.Options{Addr: args[0]})
	defer rdb.Close()
	topic, err := pubsub.NewTopic[int](rdb, args[1], pubsub.Config{Liveness: patience})
	if err != nil {
		panic(err)
	}
	hub, err := topic.Listen(context.Background())
	if err != nil {
		panic(err)
	}
	defer hub.Close()
	sub := hub.Subscribe()
	fmt.Println("listening")
	for m, err := range sub.All(context.Background()) {
		fmt.Println(describe(m, err))
	}
})

// It was not the server that was silent. What it has sent meanwhile waits in the
// socket, and would be lost with it.
func TestAProcessThatStoodStillKeepsItsConnection(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		child := redistest.Spawn(t, listener, s.Addr(), s.Prefix())
		says := func(want string) {
			t.Helper()
			if got := child.Line(); got != want {
				t.Fatalf("the listener says %q, want %q", got, want)
			}
		}
		says("listening")
		topic := newTopic[int](t, s.Client(), s.Prefix())
		publish(t, topic, 1)
		says("1")
		child.Pause()
		time.Sleep(3 * patience / 2)
		child.Resume()
		time.Sleep(patience) // by now it has asked, and was answered
		publish(t, topic, 2)
		says("2")
		child.Pause()
		publish(t, topic, 3)
		time.Sleep(3 * patience / 2)
		child.Resume()
		says("3")
	})
}
