// Conversationmanager lists the conversations of a speaker from an SQL database
// through a cache in Redis, and adds messages to them.
//
// It needs only Go. Without REDIS_URL or REDIS_ADDR in its environment it runs a Redis
// in its own process. Its database is a file that it creates and fills.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"sync"
	"time"

	"github.com/convkit/rediskit/examples/internal/backend"
	"github.com/convkit/rediskit/examples/internal/manager"
	"github.com/convkit/rediskit/examples/internal/web"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen on this `host:port`; port 0 chooses a free one")
	path := flag.String("db", manager.DefaultDatabase(), "keep the conversations in this SQLite `file`")
	thinks := flag.Duration("think", time.Second, "how long the assistant thinks before it answers")
	flag.Parse()

	web.Main("conversationmanager", func(ctx context.Context) error { return run(ctx, *addr, *path, *thinks, os.Stdout) })
}

// run serves until ctx ends. Then it closes the HTTP server, the service (locker,
// cache, database) and the Redis client, in this order. It has no event streams.
func run(ctx context.Context, addr, path string, thinks time.Duration, out io.Writer) (err error) {
	closing := func(close func() error) { err = errors.Join(err, close()) }

	listener, err := web.Listen(ctx, addr)
	if err != nil {
		return err
	}
	defer listener.Close()

	redis, err := backend.Connect(ctx)
	if err != nil {
		return err
	}
	defer closing(redis.Close)

	service, err := manager.Open(ctx, path, redis.Client, thinks)
	if err != nil {
		return err
	}
	defer closing(service.Close)

	if err := welcome(ctx, out, service, listener.Addr(), path, redis.Name); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { watch(ctx, out, service.Lists) })
	defer watching.Wait()
	defer cancel()

	return web.Serve(ctx, listener, service.Handler())
}
