// Package backend connects the example services to Redis: to the one that the
// environment names, or to one that it starts in the process.
package backend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/secrets"
)

// connectTimeout is how long the start waits for a Redis that is not up yet.
const connectTimeout = 15 * time.Second

// A Backend is the Redis that the services of a process use.
type Backend struct {
	Client   redis.UniversalClient
	Name     string               // for people; without a password
	embedded *miniredis.Miniredis // nil unless it runs in this process
}

// Connect returns a client of the server that the environment names, or else
// of one that it starts in this process.
func Connect(ctx context.Context) (*Backend, error) {
	cfg, err := rediskit.ConfigFromEnv("")
	if err != nil {
		return nil, err
	}
	if len(cfg.Addrs) == 0 && cfg.MasterName == "" {
		return Embed(ctx)
	}
	rdb, err := dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Backend{Client: rdb, Name: strings.Join(cfg.Addrs, ", ")}, nil
}

// Embed starts a Redis in this process, whose keys end with it.
func Embed(ctx context.Context) (*Backend, error) {
	embedded := miniredis.NewMiniRedis()
	embedded.ClockTTL(true) // or no TTL would ever pass
	if err := embedded.Start(); err != nil {
		return nil, fmt.Errorf("start an embedded Redis: %w", err)
	}
	rdb, err := dial(ctx, rediskit.Config{
		Addrs:    []string{embedded.Addr()},
		Password: secrets.None(),
	})
	if err != nil {
		embedded.Close()
		return nil, err
	}
	return &Backend{rdb, "embedded in this process (REDIS_URL or REDIS_ADDR names another)", embedded}, nil
}

func dial(ctx context.Context, cfg rediskit.Config) (redis.UniversalClient, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	cfg.OnError = Log
	return rediskit.Connect(ctx, cfg)
}

// Close ends the connections, then the embedded server.
func (b *Backend) Close() error {
	err := b.Client.Close()
	if b.embedded != nil {
		b.embedded.Close()
	}
	return err
}

// Log logs what a service copes with, at most one error a second: while Redis
// is down each request brings one.
var Log = sparingly(func(ctx context.Context, err error) {
	if !errors.Is(err, cache.ErrRefused) { // a newer message kept an old list out: no failure
		slog.WarnContext(ctx, "redis", "err", err)
	}
})

func sparingly(tell func(context.Context, error)) func(context.Context, error) {
	var last atomic.Pointer[time.Time]
	return func(ctx context.Context, err error) {
		now, before := time.Now(), last.Load()
		if before != nil && now.Sub(*before) < time.Second {
			return
		}
		if last.CompareAndSwap(before, &now) {
			tell(ctx, err)
		}
	}
}
