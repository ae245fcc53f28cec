package cache_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/convkit/rediskit/cache"
)

// With StaleFor, an expired value answers while the database fails. OnError
// receives the failure, which the caller does not see.
func ExampleConfig_staleFor() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	titles, err := cache.New[string](rdb, cache.Config{
		Key:      "conversation:*:title",
		TTL:      5 * time.Minute,
		StaleFor: time.Hour, // after the TTL
		OnError:  func(_ context.Context, err error) { fmt.Println("OnError:", err) },
	})
	if err != nil {
		panic(err)
	}
	defer titles.Close()
	_ = titles.Set(ctx, "c1", "Previsão do tempo")

	fails := func(context.Context, string) (string, error) {
		return "", errors.New("the database is down")
	}
	server.FastForward(6 * time.Minute) // the value has expired
	title, err := titles.GetOrLoad(ctx, "c1", fails)
	fmt.Println(title, err)

	server.FastForward(time.Hour) // and so has its copy
	_, err = titles.GetOrLoad(ctx, "c1", fails)
	fmt.Println(err)
	// Output:
	// OnError: the database is down
	// Previsão do tempo <nil>
	// the database is down
}

// While Redis is down, each call is answered by the database.
func ExampleCache_GetOrLoad_outage() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()
	db := database{"user_1": {{ID: "c1", Title: "Previsão do tempo"}}}

	conversations, err := cache.New[[]Conversation](rdb, cache.Config{Key: "conversations:*:list", TTL: 5 * time.Minute})
	if err != nil {
		panic(err)
	}
	defer conversations.Close()

	server.Close()
	for range 2 {
		list, err := conversations.GetOrLoad(ctx, "user_1", db.Conversations)
		fmt.Println(list, err)
	}
	fmt.Println(conversations.Stats().RedisErrors > 0)
	// Output:
	// query for user_1
	// [{c1 Previsão do tempo}] <nil>
	// query for user_1
	// [{c1 Previsão do tempo}] <nil>
	// true
}
