package pubsub_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/convkit/rediskit/pubsub"
)

// Shutdown receives nothing more, and waits until every subscription has read what
// is there for it.
func ExampleHub_Shutdown() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	numbers, err := pubsub.NewTopic[int](rdb, "numbers", pubsub.Config{})
	if err != nil {
		panic(err)
	}
	hub, err := numbers.Listen(ctx)
	if err != nil {
		panic(err)
	}
	sub := hub.Subscribe()

	_ = numbers.PublishAll(ctx, 1, 2, 3)
	for hub.Stats().Received < 3 { // they are on their way
		time.Sleep(time.Millisecond)
	}

	done := make(chan error)
	go func() { done <- hub.Shutdown(ctx) }()
	for m, err := range sub.All(ctx) {
		fmt.Println(m.Value, err)
	}
	fmt.Println(<-done, errors.Is(sub.Err(), pubsub.ErrClosed))
	// Output:
	// 1 <nil>
	// 2 <nil>
	// 3 <nil>
	// <nil> true
}

// A service that streams messages shuts its hubs down before its HTTP server: the
// responses end with their subscriptions, and the server has no open one to wait for.
func ExampleHub_Shutdown_httpServer() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	updates, err := pubsub.NewTopic[Update](rdb, "conversation:updates", pubsub.Config{})
	if err != nil {
		panic(err)
	}
	hub, err := updates.Listen(ctx)
	if err != nil {
		panic(err)
	}
	stream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sub := hub.Subscribe()
		defer sub.Close()
		flush := http.NewResponseController(w).Flush
		_ = flush() // the client learns that it is subscribed
		for m, err := range sub.All(r.Context()) {
			if err != nil {
				fmt.Fprint(w, "event: gap\n\n")
			} else {
				fmt.Fprintf(w, "data: %s\n\n", m.Raw)
			}
			_ = flush()
		}
	}))

	res, err := http.Get(stream.URL)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	_, _ = updates.Publish(ctx, Update{ConversationID: "c1", Event: "ended"})
	lines := bufio.NewScanner(res.Body)
	lines.Scan()
	fmt.Println(lines.Text())

	fmt.Println("hub:", hub.Shutdown(ctx))
	stream.Close() // waits for the response, as http.Server.Shutdown does
	for lines.Scan() {
		fmt.Print(lines.Text())
	}
	fmt.Println("response ended:", lines.Err())
	// Output:
	// data: {"conversation_id":"c1","event":"ended"}
	// hub: <nil>
	// response ended: <nil>
}
