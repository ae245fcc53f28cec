package subscriber

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/primary"
)

// connect dials, authenticates and sends a first PING, whose reply it leaves to the
// reader. From the dial on, the end of ctx closes the socket, whatever go-redis does
// at that moment: no read, handshake or mutex outlasts it.
func (c *session) connect(ctx context.Context) (err error) {
	// The dialer, the credentials and OnConnect are functions of the client's owner.
	defer life.Recover(func(panicked error) { err = panicked })
	cfg := c.sub.cfg
	options, err := c.sub.target.options(ctx)
	if err != nil {
		return err
	}
	limit := max(options.DialTimeout, 0) + cfg.Liveness
	timeout := time.AfterFunc(limit, func() { c.hangUp(errSlowDial) })
	defer timeout.Stop()

	options.Dialer = dialOnce(primary.Follow(ctx, c.follower()), options.Dialer)
	if cfg.Tune != nil {
		cfg.Tune(options)
	}
	options.ReadTimeout, options.WriteTimeout = cfg.Liveness, cfg.Liveness
	c.client = redis.NewClient(options)
	c.pubsub = c.client.Subscribe(ctx)
	c.start = time.Now()
	if err := c.pubsub.Ping(ctx); err != nil { // dials
		return err
	}
	c.lastRead.Store(int64(time.Since(c.start)))
	return nil
}

// follower hangs up when the server does not count any more.
func (c *session) follower() *primary.Follower {
	others := &primary.Follower{OnDial: func() {}, OnEnd: func(error) {}, OnConfirm: func(time.Time) {}}
	if f := c.sub.cfg.Follower; f != nil {
		others = f()
	}
	return &primary.Follower{
		OnDial: others.OnDial,
		OnEnd: func(cause error) {
			others.OnEnd(cause)
			c.hangUp(cause)
		},
		OnConfirm: others.OnConfirm,
		OnDoubt: func() {
			select {
			case c.doubt <- struct{}{}:
			default:
			}
		},
	}
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialOnce returns a dialer that dials a single time, with ctx, and closes the
// connection when ctx ends.
func dialOnce(ctx context.Context, dial dialer) dialer {
	var dialled atomic.Bool
	return func(_ context.Context, network, addr string) (net.Conn, error) {
		if dialled.Swap(true) {
			return nil, errSecondDial
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		return conn, nil
	}
}
