package cache_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
)

type Conversation struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// database stands for the source of truth.
type database map[string][]Conversation

func (db database) Conversations(_ context.Context, speakerID string) ([]Conversation, error) {
	fmt.Println("query for", speakerID)
	list, ok := db[speakerID]
	if !ok {
		return nil, cache.ErrNotFound
	}
	return list, nil
}

func ExampleCache_GetOrLoad() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	db := database{"user_1": {{ID: "c1", Title: "Previsão do tempo"}}}

	conversations, err := cache.New[[]Conversation](rdb, cache.Config{
		Key:         "conversations:*:list",
		TTL:         5 * time.Minute,
		NegativeTTL: 10 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conversations.Close()

	for range 2 { // a miss, then a hit
		list, err := conversations.GetOrLoad(ctx, "user_1", db.Conversations)
		fmt.Println(list, err)
	}
	for range 2 { // the absence is remembered
		_, err = conversations.GetOrLoad(ctx, "nobody", db.Conversations)
		fmt.Println(errors.Is(err, cache.ErrNotFound))
	}
	fmt.Println(rdb.Get(ctx, "conversations:user_1:list").Val())
	// Output:
	// query for user_1
	// [{c1 Previsão do tempo}] <nil>
	// [{c1 Previsão do tempo}] <nil>
	// query for nobody
	// true
	// true
	// [{"id":"c1","title":"Previsão do tempo"}]
}

// First change the source, then delete: a reader in between sees the old
// value, and no reader after it does.
func ExampleCache_Delete() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	db := database{"user_1": {{ID: "c1", Title: "Previsão do tempo"}}}
	conversations, err := cache.New[[]Conversation](rdb, cache.Config{Key: "conversations:*:list", TTL: 5 * time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conversations.Close()
	_, _ = conversations.GetOrLoad(ctx, "user_1", db.Conversations)

	db["user_1"][0].Title = "Chuva no domingo"
	if err := conversations.Delete(ctx, "user_1"); err != nil {
		fmt.Println("readers may see the old title until the TTL:", err)
	}
	list, err := conversations.GetOrLoad(ctx, "user_1", db.Conversations)
	fmt.Println(list, err)
	// Output:
	// query for user_1
	// query for user_1
	// [{c1 Chuva no domingo}] <nil>
}

func ExampleCache_GetOrLoadMany() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	titles, err := cache.New[string](rdb, cache.Config{Key: "conversation:*:title", TTL: time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer titles.Close()
	_ = titles.Set(ctx, "c1", "Previsão do tempo")

	found, err := titles.GetOrLoadMany(ctx, []string{"c1", "c2", "c3"},
		func(_ context.Context, missing []string) (map[string]string, error) {
			fmt.Println("query for", len(missing))
			return map[string]string{"c2": "Lista de compras"}, nil // there is no c3
		})
	fmt.Println(found, err)
	// Output:
	// query for 2
	// map[c1:Previsão do tempo c2:Lista de compras] <nil>
}

// Hits in this process cost no round trip and, with ReadOnly, decode nothing.
// The embedded Redis of this example cannot tell of changes, hence Untracked; a
// real one can.
func ExampleLocal() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	db := database{"user_1": {{ID: "c1", Title: "Previsão do tempo"}}}
	conversations, err := cache.New[[]Conversation](rdb, cache.Config{
		Key:   "conversations:*:list",
		TTL:   5 * time.Minute,
		Local: cache.Local{MaxEntries: 10_000, ReadOnly: true, Untracked: true},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conversations.Close()

	var list []Conversation
	for conversations.Stats().LocalHits == 0 { // Redis answers while there is no connection yet
		list, err = conversations.GetOrLoad(ctx, "user_1", db.Conversations)
	}
	fmt.Println(list, err)
	fmt.Println(conversations.Stats().LocalState)

	db["user_1"] = append(db["user_1"], Conversation{ID: "c2", Title: "Lista de compras"})
	_ = conversations.Delete(ctx, "user_1")
	list, err = conversations.GetOrLoad(ctx, "user_1", db.Conversations)
	fmt.Println(list, err)
	// Output:
	// query for user_1
	// [{c1 Previsão do tempo}] <nil>
	// untracked
	// query for user_1
	// [{c1 Previsão do tempo} {c2 Lista de compras}] <nil>
}

// server starts an embedded Redis. A service calls rediskit.Connect instead.
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
