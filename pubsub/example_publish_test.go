package pubsub_test

import (
	"context"
	"fmt"

	"github.com/convkit/rediskit/pubsub"
)

// Publish reaches those that listen at this moment. Redis keeps no messages.
func ExampleTopic_Publish() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	updates, err := pubsub.NewTopic[Update](rdb, "conversation:updates", pubsub.Config{})
	if err != nil {
		panic(err)
	}
	receivers, err := updates.Publish(ctx, Update{ConversationID: "c1", Event: "started"})
	fmt.Println(receivers, err)

	hub, err := updates.Listen(ctx)
	if err != nil {
		panic(err)
	}
	defer hub.Close()
	receivers, err = updates.Publish(ctx, Update{ConversationID: "c1", Event: "ended"})
	fmt.Println(receivers, err)
	// Output:
	// 0 <nil>
	// 1 <nil>
}

// PublishAll sends several messages, in their order, in one round trip.
func ExampleTopic_PublishAll() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	words, err := pubsub.NewTopic[string](rdb, "conversation:c1:words", pubsub.Config{})
	if err != nil {
		panic(err)
	}
	hub, err := words.Listen(ctx)
	if err != nil {
		panic(err)
	}
	defer hub.Close()
	sub := hub.Subscribe()
	defer sub.Close()

	fmt.Println(words.PublishAll(ctx, "Amanhã", "não", "chove"))
	for range 3 {
		m, err := sub.Next(ctx)
		fmt.Println(m.Value, err)
	}
	// Output:
	// <nil>
	// Amanhã <nil>
	// não <nil>
	// chove <nil>
}
