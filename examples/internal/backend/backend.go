// Package backend connects the example services to the Redis that the environment
// names, or else to one that it starts in the process.
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

// connectTimeout is how long Connect waits for a Redis that does not answer yet.
const connectTimeout = 15 * time.Second

// A Backend is the Redis that the services of a process use.
type Backend struct {
	Client   redis.UniversalClient
	Name     string               // to show to people; without a password
	embedded *miniredis.Miniredis // nil unless Redis runs in this process
}

// Connect connects to the Redis that the environment names, or else starts one in this
// process.
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

// Embed starts a Redis in this process. Its keys exist as long as the process runs.
func Embed(ctx context.Context) (*Backend, error) {
	embedded := miniredis.NewMiniRedis()
	embedded.ClockTTL(true) // otherwise no key would expire
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

// Close closes the client, then the embedded server.
func (b *Backend) Close() error {
	err := b.Client.Close()
	if b.embedded != nil {
		b.embedded.Close()
	}
	return err
}

// Log logs errors with which a service can go on working. It logs at most one a second,
// because while Redis is down every request causes one.
var Log = oncePerSecond(func(ctx context.Context, err error) {
	if !errors.Is(err, cache.ErrRefused) { // a fill was refused because a newer message came: no failure
		slog.WarnContext(ctx, "redis", "err", err)
	}
})

// oncePerSecond returns a function that calls log at most once a second.
func oncePerSecond(log func(context.Context, error)) func(context.Context, error) {
	var last atomic.Pointer[time.Time]
	return func(ctx context.Context, err error) {
		now, before := time.Now(), last.Load()
		if before != nil && now.Sub(*before) < time.Second {
			return
		}
		if last.CompareAndSwap(before, &now) {
			log(ctx, err)
		}
	}
}
