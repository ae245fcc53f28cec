package cache_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/convkit/rediskit/cache"
)

// The value in Redis is plain JSON, which programs in other languages can read.
func ExampleCache_GetOrLoad() {
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

	for range 2 { // a miss, then a hit
		list, err := conversations.GetOrLoad(ctx, "user_1", db.Conversations)
		fmt.Println(list, err)
	}
	fmt.Println(rdb.Get(ctx, "conversations:user_1:list").Val())
	fmt.Println(rdb.TTL(ctx, "conversations:user_1:list").Val())
	// Output:
	// query for user_1
	// [{c1 Previsão do tempo}] <nil>
	// [{c1 Previsão do tempo}] <nil>
	// [{"id":"c1","title":"Previsão do tempo"}]
	// 5m0s
}

// Delete follows each change of the source. Once it has returned nil, every read that
// begins sees the change.
func ExampleCache_Delete() {
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
	_, _ = conversations.GetOrLoad(ctx, "user_1", db.Conversations)

	db["user_1"][0].Title = "Chuva no domingo"
	if err := conversations.Delete(ctx, "user_1"); err != nil {
		fmt.Println("readers may see the old title until the TTL ends:", err)
	}
	list, err := conversations.GetOrLoad(ctx, "user_1", db.Conversations)
	fmt.Println(list, err)
	// Output:
	// query for user_1
	// query for user_1
	// [{c1 Chuva no domingo}] <nil>
}

// Get loads nothing: without a value it returns ErrMiss.
func ExampleCache_Get() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	titles, err := cache.New[string](rdb, cache.Config{Key: "conversation:*:title", TTL: time.Hour})
	if err != nil {
		panic(err)
	}
	defer titles.Close()

	_, err = titles.Get(ctx, "c1")
	fmt.Println(errors.Is(err, cache.ErrMiss))

	_ = titles.Set(ctx, "c1", "Previsão do tempo")
	title, err := titles.Get(ctx, "c1")
	fmt.Println(title, err)
	// Output:
	// true
	// Previsão do tempo <nil>
}

// With NegativeTTL, ids that do not exist reach the database once in that time.
func ExampleConfig_negativeTTL() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()
	db := database{}

	conversations, err := cache.New[[]Conversation](rdb, cache.Config{
		Key:         "conversations:*:list",
		TTL:         5 * time.Minute,
		NegativeTTL: 10 * time.Second,
	})
	if err != nil {
		panic(err)
	}
	defer conversations.Close()

	for range 2 { // the second answer is remembered
		_, err := conversations.GetOrLoad(ctx, "nobody", db.Conversations)
		fmt.Println(errors.Is(err, cache.ErrNotFound))
	}
	server.FastForward(10 * time.Second)
	_, err = conversations.GetOrLoad(ctx, "nobody", db.Conversations)
	fmt.Println(errors.Is(err, cache.ErrNotFound))
	// Output:
	// query for nobody
	// true
	// true
	// query for nobody
	// true
}

// With RefreshAhead, a value that is about to expire still answers at once, and is
// loaded again in the background. Readers of a busy id rarely wait for the database.
func ExampleConfig_refreshAhead() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()
	db := database{"user_1": {{ID: "c1", Title: "Previsão do tempo"}}}

	conversations, err := cache.New[[]Conversation](rdb, cache.Config{
		Key:          "conversations:*:list",
		TTL:          5 * time.Minute,
		RefreshAhead: time.Minute,
	})
	if err != nil {
		panic(err)
	}
	defer conversations.Close()
	_, _ = conversations.GetOrLoad(ctx, "user_1", db.Conversations)

	server.FastForward(4*time.Minute + time.Second) // 59 s are left
	list, err := conversations.GetOrLoad(ctx, "user_1", db.Conversations)
	for conversations.Stats().Fills < 2 { // the background has not stored its value yet
		time.Sleep(time.Millisecond)
	}
	fmt.Println(list, err)
	fmt.Println(rdb.TTL(ctx, "conversations:user_1:list").Val())
	// Output:
	// query for user_1
	// query for user_1
	// [{c1 Previsão do tempo}] <nil>
	// 5m0s
}
