package pubsub_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/convkit/rediskit/pubsub"
)

// A subscription that is more than Config.Buffer messages behind loses its oldest
// messages, and a GapError says how many. It slows no other subscription down.
func ExampleGapError() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	numbers, err := pubsub.NewTopic[int](rdb, "numbers", pubsub.Config{Buffer: 2})
	if err != nil {
		panic(err)
	}
	hub, err := numbers.Listen(ctx)
	if err != nil {
		panic(err)
	}
	defer hub.Close()
	quick, slow := hub.Subscribe(), hub.Subscribe()
	defer quick.Close()
	defer slow.Close()

	for i := range 5 {
		_, _ = numbers.Publish(ctx, i)
		m, err := quick.Next(ctx)
		fmt.Println("quick:", m.Value, err)
	}
	for range 3 {
		m, err := slow.Next(ctx)
		var gap *pubsub.GapError
		if errors.As(err, &gap) {
			fmt.Println("slow:", gap.Missed, "messages are missing")
			continue
		}
		fmt.Println("slow:", m.Value, err)
	}
	// Output:
	// quick: 0 <nil>
	// quick: 1 <nil>
	// quick: 2 <nil>
	// quick: 3 <nil>
	// quick: 4 <nil>
	// slow: 3 messages are missing
	// slow: 3 <nil>
	// slow: 4 <nil>
}

// A reader that shows a state reads it from its source after Subscribe, and again
// at each gap. A payload that does not decode is an error in its place.
func ExampleSubscription_All() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	titles, err := pubsub.NewTopic[string](rdb, "conversation:c1:title", pubsub.Config{Name: "titles"})
	if err != nil {
		panic(err)
	}
	hub, err := titles.Listen(ctx)
	if err != nil {
		panic(err)
	}
	defer hub.Close()
	sub := hub.Subscribe()
	defer sub.Close()
	fmt.Println("read the title from the database")

	for _, payload := range []string{`"Previsão"`, `no JSON`, `"Previsão do tempo"`} {
		rdb.Publish(ctx, "conversation:c1:title", payload)
	}
	for m, err := range sub.All(ctx) {
		var gap *pubsub.GapError
		var bad *pubsub.DecodeError
		switch {
		case errors.As(err, &gap):
			fmt.Println("read the title from the database again")
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
	// read the title from the database
	// Previsão
	// pubsub: a message does not decode: a syntax error at byte 2
	// Previsão do tempo
}
