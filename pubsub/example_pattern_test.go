package pubsub_test

import (
	"context"
	"fmt"

	"github.com/convkit/rediskit/pubsub"
)

// One Hub receives the channels of all conversations.
func ExampleListenPattern() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	hub, err := pubsub.ListenPattern[Update](ctx, rdb, "conversation:*", pubsub.Config{})
	if err != nil {
		panic(err)
	}
	defer hub.Close()
	sub := hub.Subscribe()
	defer sub.Close()

	rdb.Publish(ctx, "conversation:c1", `{"event":"ended"}`)
	m, err := sub.Next(ctx)
	fmt.Println(m.Channel, m.Value.Event, err)
	// Output:
	// conversation:c1 ended <nil>
}
