package rediskit_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/secrets"
)

func Example() {
	server, err := miniredis.Run() // stands for redis:6379
	if err != nil {
		panic(err)
	}
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	rdb, err := rediskit.Connect(ctx, rediskit.Config{
		Addrs:    []string{server.Addr()},
		Password: secrets.None(),
		OnError:  func(ctx context.Context, err error) { slog.WarnContext(ctx, err.Error()) },
	})
	if err != nil {
		panic(err)
	}
	defer rdb.Close() // last, after all that uses it

	fmt.Println(rdb.Ping(ctx).Result())
	// Output: PONG <nil>
}
