package rediskit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/secrets"
)

func ExampleConnect() {
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
	defer rdb.Close()

	fmt.Println(rdb.Ping(ctx))
	// Output: ping: PONG
}

// An outage is an ordinary error that arrives at once.
func ExampleConnect_unavailable() {
	server, _ := miniredis.Run()
	rdb, err := rediskit.Connect(context.Background(), rediskit.Config{
		Addrs: []string{server.Addr()}, Password: secrets.None(),
	})
	if err != nil {
		panic(err)
	}
	defer rdb.Close()
	server.Close()

	for range 5 { // failures that open the breaker
		_ = rdb.Get(context.Background(), "k").Err()
	}
	err = rdb.Get(context.Background(), "k").Err()
	fmt.Println(errors.Is(err, rediskit.ErrUnavailable))
	// Output: true
}

func ExampleConfigFromEnv() {
	for _, name := range []string{"STATE_REDIS_ADDR", "STATE_REDIS_NO_EVICTION", "STATE_REDIS_DB"} {
		defer os.Unsetenv(name)
	}
	os.Setenv("STATE_REDIS_ADDR", "redis-state:6379")
	os.Setenv("STATE_REDIS_NO_EVICTION", "true")

	cache, err := rediskit.ConfigFromEnv("")
	fmt.Println(len(cache.Addrs), cache.NoEviction, err)
	state, err := rediskit.ConfigFromEnv("STATE_")
	fmt.Println(state.Addrs, state.NoEviction, err)

	os.Setenv("STATE_REDIS_DB", "hunter2")
	_, err = rediskit.ConfigFromEnv("STATE_")
	fmt.Println(err)
	// Output:
	// 0 false <nil>
	// [redis-state:6379] true <nil>
	// rediskit: STATE_REDIS_DB must be a whole number, 0 or more
}

func ExampleCheck() {
	server, _ := miniredis.Run()
	defer server.Close()
	rdb, err := rediskit.Connect(context.Background(), rediskit.Config{
		Addrs: []string{server.Addr()}, Password: secrets.None(),
	})
	if err != nil {
		panic(err)
	}
	defer rdb.Close()

	health, err := rediskit.Check(context.Background(), rdb)
	if err != nil {
		panic(err)
	}
	for _, node := range health.Nodes {
		fmt.Println("policy:", node.EvictionPolicy) // miniredis does not tell
		if limit, ok := node.MaxClients.Get(); ok && limit < 100 {
			fmt.Println("few client slots:", limit)
		}
	}
	// Output: policy: unknown
}

// slogger sends go-redis's log lines to slog.
type slogger struct{}

func (slogger) Printf(ctx context.Context, format string, args ...any) {
	slog.WarnContext(ctx, fmt.Sprintf(format, args...), "from", "go-redis")
}

func Example_logger() {
	redis.SetLogger(slogger{})
}
