package rediskit_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/secrets"
)

// A service closes what it has made in this order: hubs, the HTTP server, lockers,
// caches, clients.
func Example_shutdown() {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	rdb, err := rediskit.Connect(ctx, rediskit.Config{
		Addrs:    []string{server.Addr()},
		Password: secrets.None(),
	})
	if err != nil {
		panic(err)
	}
	titles, err := cache.New[string](rdb, cache.Config{Key: "conversation:*:title", TTL: time.Hour})
	if err != nil {
		panic(err)
	}
	locks, err := lock.New(rdb, lock.Config{Key: "lock:*"})
	if err != nil {
		panic(err)
	}
	hub, err := pubsub.ListenPattern[string](ctx, rdb, "conversation:*", pubsub.Config{})
	if err != nil {
		panic(err)
	}
	web := &http.Server{Handler: http.NotFoundHandler()}

	// After SIGTERM:
	fmt.Println("hub:", hub.Shutdown(ctx)) // event streams end, which the HTTP server waits for
	fmt.Println("web:", web.Shutdown(ctx)) // the last requests end
	fmt.Println("locks:", locks.Close())   // what runs under a lock ends
	fmt.Println("titles:", titles.Close()) // loads end
	fmt.Println("client:", rdb.Close())
	// Output:
	// hub: <nil>
	// web: <nil>
	// locks: <nil>
	// titles: <nil>
	// client: <nil>
}
