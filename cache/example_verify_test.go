package cache_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/convkit/rediskit/cache"
)

// With Verify some hits are checked in the background. Here it is every hit, so that there is
// one to count: a service checks one of thousands.
func ExampleVerify() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()
	db := database{"user_1": {{ID: "c1", Title: "Previsão do tempo"}}}

	conversations, err := cache.New[[]Conversation](rdb, cache.Config{
		Key:    "conversations:*:list",
		TTL:    5 * time.Minute,
		Verify: cache.Verify{OneIn: 1, Source: 5 * time.Second},
		OnError: func(_ context.Context, err error) {
			if _, stale := errors.AsType[*cache.StaleError](err); stale {
				log.Print(err) // this must not happen
			}
		},
	})
	if err != nil {
		panic(err)
	}
	defer conversations.Close()

	for range 2 { // a miss, then a hit
		list, err := conversations.GetOrLoad(ctx, "user_1", db.Conversations)
		fmt.Println(list, err)
	}
	for conversations.Stats().SourceSame == 0 {
		time.Sleep(100 * time.Millisecond) // checks are made once a second
	}
	stats := conversations.Stats()
	fmt.Println(stats.SourceSame, "hit is what the database has,", stats.SourceStale, "are not")
	// Output:
	// query for user_1
	// [{c1 Previsão do tempo}] <nil>
	// [{c1 Previsão do tempo}] <nil>
	// query for user_1
	// 1 hit is what the database has, 0 are not
}
