package cache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/convkit/rediskit/cache"
)

// With Local, this process keeps values too, and a hit costs no round trip. With
// ReadOnly it decodes nothing either: all callers share one value, which nobody may
// change.
//
// A real Redis announces changes of what is kept. The Redis inside this process cannot,
// so the example needs Untracked: values answer for up to MaxAge.
func ExampleLocal() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()
	db := database{"user_1": {{ID: "c1", Title: "Previsão do tempo"}}}

	conversations, err := cache.New[[]Conversation](rdb, cache.Config{
		Key: "conversations:*:list",
		TTL: 5 * time.Minute,
		Local: cache.Local{
			MaxEntries: 10_000,
			ReadOnly:   true,
			Untracked:  true,
		},
	})
	if err != nil {
		panic(err)
	}
	defer conversations.Close()

	var list []Conversation
	for conversations.Stats().LocalHits == 0 { // until Redis has said whether it announces changes
		list, err = conversations.GetOrLoad(ctx, "user_1", db.Conversations)
	}
	again, _ := conversations.GetOrLoad(ctx, "user_1", db.Conversations)
	fmt.Println(list, err)
	fmt.Println("one value for all callers:", &again[0] == &list[0])
	fmt.Println(conversations.Stats().LocalState)

	// This process sees its own changes at once.
	db["user_1"] = []Conversation{{ID: "c2", Title: "Lista de compras"}}
	_ = conversations.Delete(ctx, "user_1")
	list, err = conversations.GetOrLoad(ctx, "user_1", db.Conversations)
	fmt.Println(list, err)
	// Output:
	// query for user_1
	// [{c1 Previsão do tempo}] <nil>
	// one value for all callers: true
	// untracked
	// query for user_1
	// [{c2 Lista de compras}] <nil>
}
