package pubsub_test

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/secrets"
)

type Update struct {
	ConversationID string `json:"conversation_id"`
	Event          string `json:"event"`
}

// startRedis starts a Redis inside this process and connects to it. A service
// only calls rediskit.Connect.
func startRedis() (*miniredis.Miniredis, redis.UniversalClient) {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	rdb, err := rediskit.Connect(context.Background(), rediskit.Config{
		Addrs:    []string{server.Addr()},
		Password: secrets.None(),
	})
	if err != nil {
		panic(err)
	}
	return server, rdb
}

// A message is plain JSON, which programs in other languages can publish and read.
func Example() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	updates, err := pubsub.NewTopic[Update](rdb, "conversation:updates", pubsub.Config{})
	if err != nil {
		panic(err)
	}
	hub, err := updates.Listen(ctx) // returns once Redis has confirmed
	if err != nil {
		panic(err)
	}
	defer hub.Close() // before its client
	sub := hub.Subscribe()
	defer sub.Close()

	receivers, err := updates.Publish(ctx, Update{ConversationID: "c1", Event: "message_received"})
	fmt.Println(receivers, err)
	rdb.Publish(ctx, "conversation:updates", `{"conversation_id":"c1","event":"ended"}`)

	for range 2 {
		m, err := sub.Next(ctx)
		fmt.Println(m.Value.Event, string(m.Raw), err)
	}
	// Output:
	// 1 <nil>
	// message_received {"conversation_id":"c1","event":"message_received"} <nil>
	// ended {"conversation_id":"c1","event":"ended"} <nil>
}
