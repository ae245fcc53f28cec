// Coregateway stands in front of the Conversation Manager. It limits how often each
// speaker may send a message, and shows events to browsers on a Dashboard.
//
// The gateway and the manager must use the same Redis, which REDIS_URL or REDIS_ADDR
// names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/convkit/rediskit/examples/internal/backend"
	"github.com/convkit/rediskit/examples/internal/gateway"
	"github.com/convkit/rediskit/examples/internal/web"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen on this `host:port`; port 0 chooses a free one")
	manager := flag.String("manager", "http://127.0.0.1:8081", "the Conversation Manager's `URL`")
	flag.Parse()

	web.Main("coregateway", func(ctx context.Context) error { return run(ctx, *addr, *manager, os.Stdout) })
}

// run serves until ctx ends. Then it closes the event streams (those of browsers,
// WebSockets, and the hub behind them), the HTTP server, the service and the Redis client,
// in this order.
func run(ctx context.Context, addr, manager string, out io.Writer) (err error) {
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

	service, err := gateway.Open(ctx, redis.Client, manager)
	if err != nil {
		return err
	}
	defer closing(service.Close)

	fmt.Fprintf(out, `Dashboard    http://%s
Manager      %s
Redis        %s
Metrics      http://%[1]s/metrics

Ctrl-C ends.

`, listener.Addr(), manager, redis.Name)
	return web.Serve(ctx, listener, service.Handler(), service.CloseStreams)
}
