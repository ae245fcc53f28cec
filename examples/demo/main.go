// Demo runs the Core Gateway with its Dashboard, the Conversation Manager behind it,
// and a few simulated speakers. One of them sends more than the limits allow.
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
	"github.com/convkit/rediskit/examples/internal/gateway"
	"github.com/convkit/rediskit/examples/internal/manager"
	"github.com/convkit/rediskit/examples/internal/web"
)

type options struct {
	addr, path string
	thinks     time.Duration
	quiet      bool
}

func main() {
	var o options
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8080", "listen on this `host:port`; port 0 chooses a free one")
	flag.StringVar(&o.path, "db", manager.DefaultDatabase(), "keep the conversations in this SQLite `file`")
	flag.DurationVar(&o.thinks, "think", time.Second, "how long the assistant thinks before it answers")
	flag.BoolVar(&o.quiet, "quiet", false, "run no simulated speakers")
	flag.Parse()

	web.Main("demo", func(ctx context.Context) error { return run(ctx, o, os.Stdout) })
}

// run serves until ctx ends. Then it closes the gateway's event streams (those of
// browsers, WebSockets, and the hub behind them), the gateway's HTTP server, the gateway,
// the manager's HTTP server, the manager (locker, cache, database) and the Redis client,
// in this order.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	closing := func(close func() error) { err = errors.Join(err, close()) }

	front, err := web.Listen(ctx, o.addr)
	if err != nil {
		return err
	}
	defer front.Close()
	back, err := web.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer back.Close()

	redis, err := backend.Connect(ctx)
	if err != nil {
		return err
	}
	defer closing(redis.Close)

	conversations, err := manager.Open(ctx, o.path, redis.Client, o.thinks)
	if err != nil {
		return err
	}
	defer closing(conversations.Close)
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(serving, back, conversations.Handler()) }()
	defer closing(func() error { end(); return <-ended })

	core, err := gateway.Open(ctx, redis.Client, "http://"+back.Addr().String())
	if err != nil {
		return err
	}
	defer closing(core.Close)

	speaker, conversation, err := conversations.Example(ctx)
	if err != nil {
		return err
	}
	welcome(out, places{
		dashboard: front.Addr(), manager: back.Addr(),
		database: o.path, redis: redis.Name,
		speaker: speaker, conversation: conversation,
	})
	var talking sync.WaitGroup
	if !o.quiet {
		talking.Go(func() { talk(ctx, "http://"+front.Addr().String()) })
	}
	defer talking.Wait()
	return web.Serve(ctx, front, core.Handler(), core.CloseStreams)
}
