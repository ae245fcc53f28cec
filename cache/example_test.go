package cache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/secrets"
)

type Conversation struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// A database stands for the source of the values.
type database map[string][]Conversation

func (db database) Conversations(_ context.Context, speakerID string) ([]Conversation, error) {
	fmt.Println("query for", speakerID)
	list, ok := db[speakerID]
	if !ok {
		return nil, cache.ErrNotFound
	}
	return list, nil
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

func Example() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()
	db := database{"user_1": {{ID: "c1", Title: "Previsão do tempo"}}}

	conversations, err := cache.New[[]Conversation](rdb, cache.Config{
		Key: "conversations:*:list", // '*' is the id
		TTL: 5 * time.Minute,
	})
	if err != nil {
		panic(err)
	}
	defer conversations.Close() // before its client

	for range 2 { // a miss, then a hit
		list, err := conversations.GetOrLoad(ctx, "user_1", db.Conversations)
		fmt.Println(list, err)
	}

	// First change the source, then delete the cached value.
	db["user_1"][0].Title = "Chuva no domingo"
	if err := conversations.Delete(ctx, "user_1"); err != nil {
		fmt.Println("readers may see the old title until the TTL ends:", err)
	}
	list, err := conversations.GetOrLoad(ctx, "user_1", db.Conversations)
	fmt.Println(list, err)
	// Output:
	// query for user_1
	// [{c1 Previsão do tempo}] <nil>
	// [{c1 Previsão do tempo}] <nil>
	// query for user_1
	// [{c1 Chuva no domingo}] <nil>
}
