package pubsub_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/convkit/rediskit/pubsub"
)

// A reader that comes back, such as a browser with Last-Event-ID, goes on behind the last
// message that it has seen, in whichever process it arrives.
func ExampleHub_SubscribeAfter() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	words, err := pubsub.NewTopic[string](rdb, "conversation:c1:words", pubsub.Config{
		History: pubsub.History{Messages: 100}, // for 5 minutes
	})
	if err != nil {
		panic(err)
	}
	hub, err := words.Listen(ctx)
	if err != nil {
		panic(err)
	}
	defer hub.Close()
	sub := hub.Subscribe()
	_ = words.PublishAll(ctx, "Amanhã", "não", "chove")
	m, err := sub.Next(ctx)
	fmt.Println(m.Value, err)
	sub.Close()

	sub, err = hub.SubscribeAfter(ctx, m.Position)
	if err != nil { // ErrPosition: the text is not from here
		panic(err)
	}
	defer sub.Close()
	for range 2 {
		m, err := sub.Next(ctx)
		fmt.Println(m.Value, err)
	}

	sub, err = hub.SubscribeAfter(ctx, "1700000000000000-1") // long ago
	if err != nil {
		panic(err)
	}
	defer sub.Close()
	_, err = sub.Next(ctx)
	fmt.Println("read the state from its source:", errors.Is(err, pubsub.ErrNotInHistory))
	m, err = sub.Next(ctx)
	fmt.Println(m.Value, err)
	// Output:
	// Amanhã <nil>
	// não <nil>
	// chove <nil>
	// read the state from its source: true
	// Amanhã <nil>
}
