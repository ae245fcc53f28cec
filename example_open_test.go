package rediskit_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/secrets"
)

// A service starts without Redis, and serves at once.
func ExampleOpen() {
	ctx := context.Background()
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	addr := server.Addr()
	server.Close() // it is not there yet

	log := rediskit.NewLog(slog.New(slog.DiscardHandler)) // nil is slog.Default()
	rdb, err := rediskit.Open(rediskit.Config{
		Addrs:    []string{addr},
		Password: secrets.None(),
		OnError:  log.OnError,
		OnState:  log.OnState,
	})
	if err != nil {
		panic(err) // the configuration is wrong
	}
	defer rdb.Close()
	titles, err := cache.New[string](rdb, cache.Config{Key: "titles:*", TTL: time.Minute, OnError: log.OnError})
	if err != nil {
		panic(err)
	}
	defer titles.Close()
	load := func(context.Context, string) (string, error) { return "A story", nil }
	fmt.Println(titles.GetOrLoad(ctx, "1", load))
	fmt.Println("an outage:", rediskit.IsOutage(rdb.Ping(ctx).Err()))

	if err := server.Restart(); err != nil {
		panic(err)
	}
	defer server.Close()
	fmt.Println("ready:", rediskit.Ready(ctx, rdb))
	// Output:
	// A story <nil>
	// an outage: true
	// ready: <nil>
}

// An outage is a 503, and whoever asks may try again. Anything else is a fault of ours.
func ExampleIsOutage() {
	answer := func(w http.ResponseWriter, err error) {
		if rediskit.IsOutage(err) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "try again soon", http.StatusServiceUnavailable)
			return
		}
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
	_ = answer
}
