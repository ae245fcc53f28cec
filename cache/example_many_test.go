package cache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/convkit/rediskit/cache"
)

// The loader is called once, with all ids that have no value.
func ExampleCache_GetOrLoadMany() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	titles, err := cache.New[string](rdb, cache.Config{Key: "conversation:*:title", TTL: time.Hour})
	if err != nil {
		panic(err)
	}
	defer titles.Close()
	_ = titles.Set(ctx, "c1", "Previsão do tempo")

	found, err := titles.GetOrLoadMany(ctx, []string{"c1", "c2", "c3"},
		func(_ context.Context, missing []string) (map[string]string, error) {
			fmt.Println("query for", missing)
			return map[string]string{"c2": "Lista de compras"}, nil // there is no c3
		})
	fmt.Println(found, err)
	// Output:
	// query for [c2 c3]
	// map[c1:Previsão do tempo c2:Lista de compras] <nil>
}

// Ids without a value are not in the map, and are no error.
func ExampleCache_GetMany() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	titles, err := cache.New[string](rdb, cache.Config{Key: "conversation:*:title", TTL: time.Hour})
	if err != nil {
		panic(err)
	}
	defer titles.Close()
	_ = titles.Set(ctx, "c1", "Previsão do tempo")

	found, err := titles.GetMany(ctx, []string{"c1", "c2"})
	title, ok := found["c2"]
	fmt.Printf("%v %q %v %v\n", found, title, ok, err)
	// Output:
	// map[c1:Previsão do tempo] "" false <nil>
}

// Values that are known already, such as those of a page that was just read from
// the database, are stored in one round trip. Jitter keeps them from expiring at
// the same moment.
func ExampleCache_SetMany() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	titles, err := cache.New[string](rdb, cache.Config{Key: "conversation:*:title", TTL: time.Hour, Jitter: 0.1})
	if err != nil {
		panic(err)
	}
	defer titles.Close()

	err = titles.SetMany(ctx, map[string]string{"c1": "Previsão do tempo", "c2": "Lista de compras"})
	fmt.Println(err)
	found, err := titles.GetMany(ctx, []string{"c1", "c2"})
	fmt.Println(found, err)
	// Output:
	// <nil>
	// map[c1:Previsão do tempo c2:Lista de compras] <nil>
}
