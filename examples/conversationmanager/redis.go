package main

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

// A backend is the Redis that the service uses.
type backend struct {
	rdb      redis.UniversalClient
	name     string               // for people; without a password
	embedded *miniredis.Miniredis // nil unless it runs in this process
}

// connect returns a client of the server that the environment names, or else
// of one that it starts in this process.
func connect(ctx context.Context) (*backend, error) {
	cfg, err := rediskit.ConfigFromEnv("")
	if err != nil {
		return nil, err
	}
	if len(cfg.Addrs) == 0 && cfg.MasterName == "" {
		return embed(ctx)
	}
	rdb, err := dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &backend{rdb: rdb, name: strings.Join(cfg.Addrs, ", ")}, nil
}

// embed starts a Redis in this process, whose keys end with it.
func embed(ctx context.Context) (*backend, error) {
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
	return &backend{rdb, "embedded in this process (REDIS_URL or REDIS_ADDR names another)", embedded}, nil
}

func dial(ctx context.Context, cfg rediskit.Config) (redis.UniversalClient, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	cfg.OnError = sparingly(logRedis)
	return rediskit.Connect(ctx, cfg)
}

// Close ends the connections, then the embedded server.
func (b *backend) Close() error {
	err := b.rdb.Close()
	if b.embedded != nil {
		b.embedded.Close()
	}
	return err
}

// logRedis logs what the service copes with. That a newer message kept a list
// out of the cache is no failure.
func logRedis(ctx context.Context, err error) {
	if !errors.Is(err, cache.ErrRefused) {
		slog.WarnContext(ctx, "redis", "err", err)
	}
}

// sparingly passes on at most one error a second: while Redis is down each
// request brings one.
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
