package pubsub_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/pubsub"
)

func ExampleTopic() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()

	updates, err := pubsub.NewTopic[Event](rdb, "conversation:updates", pubsub.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	hub, err := updates.Listen(ctx) // returns once Redis has confirmed
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hub.Close()
	sub := hub.Subscribe()
	defer sub.Close()

	receivers, err := updates.Publish(ctx, Event{ConversationID: "c1", Event: "message_received"})
	fmt.Println(receivers, err)
	// A service in another language publishes JSON too.
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

// Two subscriptions to one connection. The one that is not read in time loses its
// oldest messages, and is told.
func ExampleHub() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	numbers, err := pubsub.NewTopic[int](rdb, "numbers", pubsub.Config{Buffer: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	hub, err := numbers.Listen(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	quick, slow := hub.Subscribe(), hub.Subscribe()

	for i := range 5 {
		if _, err := numbers.Publish(ctx, i); err != nil {
			fmt.Println(err)
		}
		m, err := quick.Next(ctx)
		fmt.Println("quick", m.Value, err)
	}
	quick.Close()
	go hub.Shutdown(ctx) // slow reads what is there for it
	for m, err := range slow.All(ctx) {
		fmt.Println("slow", m.Value, err)
	}
	fmt.Println(errors.Is(slow.Err(), pubsub.ErrClosed))
	// Output:
	// quick 0 <nil>
	// quick 1 <nil>
	// quick 2 <nil>
	// quick 3 <nil>
	// quick 4 <nil>
	// slow 0 pubsub: 3 messages were dropped: the subscription was too slow
	// slow 3 <nil>
	// slow 4 <nil>
	// true
}

// A reader that shows a state reads it from its source after Subscribe, and again
// wherever messages are missing.
func ExampleSubscription_All() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	titles, err := pubsub.NewTopic[string](rdb, "conversation:c1:title", pubsub.Config{Name: "titles"})
	if err != nil {
		fmt.Println(err)
		return
	}
	hub, err := titles.Listen(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hub.Close()
	sub := hub.Subscribe()
	defer sub.Close()
	fmt.Println("read from the database")

	for _, payload := range []string{`"Previsão"`, `no JSON`, `"Previsão do tempo"`} {
		rdb.Publish(ctx, "conversation:c1:title", payload)
	}
	for m, err := range sub.All(ctx) {
		var gap *pubsub.GapError
		var bad *pubsub.DecodeError
		switch {
		case errors.As(err, &gap):
			fmt.Println("read from the database again")
		case errors.As(err, &bad):
			fmt.Println(err)
		default:
			fmt.Println(m.Value)
		}
		if m.Value == "Previsão do tempo" {
			break
		}
	}
	// Output:
	// read from the database
	// Previsão
	// pubsub: a message does not decode: a syntax error at byte 2
	// Previsão do tempo
}

// One Hub for the channels of all conversations.
func ExampleListenPattern() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	hub, err := pubsub.ListenPattern[Event](ctx, rdb, "conversation:*", pubsub.Config{})
	if err != nil {
		fmt.Println(err)
		return
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

// server stands for rediskit.Connect.
func server() (*redis.Client, func()) {
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		panic(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	return rdb, func() {
		rdb.Close()
		mini.Close()
	}
}
