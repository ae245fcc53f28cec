package rediskit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/secrets"
)

// Connect waits for a Redis that is still starting. OnError receives the failure of
// each attempt.
func ExampleConnect() {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	defer server.Close()
	server.SetError("LOADING Redis is loading the dataset in memory")

	rdb, err := rediskit.Connect(context.Background(), rediskit.Config{
		Addrs:    []string{server.Addr()},
		Password: secrets.None(),
		OnError: func(context.Context, error) {
			fmt.Println("Redis is not ready yet")
			server.SetError("") // it is now
		},
	})
	if err != nil {
		panic(err)
	}
	defer rdb.Close()
	fmt.Println(rdb.Ping(context.Background()).Result())
	// Output:
	// Redis is not ready yet
	// PONG <nil>
}

// The context bounds how long Connect waits.
func ExampleConnect_deadline() {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	defer server.Close()
	server.SetError("LOADING Redis is loading the dataset in memory")

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err = rediskit.Connect(ctx, rediskit.Config{
		Addrs:    []string{server.Addr()},
		Password: secrets.None(),
	})
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

// While Redis is down, calls fail at once with ErrUnavailable. They were not sent.
func ExampleConnect_unavailable() {
	ctx := context.Background()
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	rdb, err := rediskit.Connect(ctx, rediskit.Config{
		Addrs:    []string{server.Addr()},
		Password: secrets.None(),
	})
	if err != nil {
		panic(err)
	}
	defer rdb.Close()

	server.Close()
	for range 5 { // these calls are sent and fail
		rdb.Get(ctx, "k")
	}
	err = rdb.Get(ctx, "k").Err()
	fmt.Println(errors.Is(err, rediskit.ErrUnavailable))
	// Output: true
}

// A slogger sends the log lines of go-redis to slog.
type slogger struct{}

func (slogger) Printf(ctx context.Context, format string, args ...any) {
	slog.WarnContext(ctx, fmt.Sprintf(format, args...), "from", "go-redis")
}

// This package does not log, but go-redis does.
func Example_logger() {
	redis.SetLogger(slogger{})
}
