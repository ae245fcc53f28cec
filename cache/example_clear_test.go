package cache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/convkit/rediskit/cache"
)

// Clear is for operators: it walks through all keys of the server.
func ExampleCache_Clear() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	titles, err := cache.New[string](rdb, cache.Config{Key: "conversation:*:title", TTL: time.Hour})
	if err != nil {
		panic(err)
	}
	defer titles.Close()
	_ = titles.SetMany(ctx, map[string]string{"c1": "Previsão do tempo", "c2": "Lista de compras"})
	rdb.Set(ctx, "conversation:c1:summary", "…", time.Hour) // not of the pattern

	removed, err := titles.Clear(ctx, func(removed int64) {
		fmt.Println(removed, "so far")
	})
	fmt.Println(removed, err)
	fmt.Println(rdb.Keys(ctx, "*").Val())
	// Output:
	// 2 so far
	// 2 <nil>
	// [conversation:c1:summary]
}
