package partitions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/pubsub"
)

// startRediskit starts all probes over one client, with default settings.
func (c *client) startRediskit(ctx context.Context) error {
	rdb, err := rediskit.Connect(ctx, c.config())
	if err != nil {
		return err
	}
	for _, start := range []func(context.Context, redis.UniversalClient) error{c.startNear, c.startHub, c.startLocks} {
		if err := start(ctx, rdb); err != nil {
			return err
		}
	}
	c.startCalls(ctx, rdb)
	return nil
}

func (c *client) config() rediskit.Config {
	return rediskit.Config{
		Addrs: c.Addrs, MasterName: c.MasterName,
		Tune: func(o *redis.UniversalOptions) {
			c.dialer.Timeout = o.DialTimeout
			o.Dialer = c.dial
		},
	}
}

// startNear reads one value, near copies of which are kept.
func (c *client) startNear(ctx context.Context, rdb redis.UniversalClient) error {
	values, err := cache.New[int](rdb, cache.Config{
		Key: nearPrefix(c.Tag) + "*", TTL: time.Minute, Local: cache.Local{MaxEntries: 100},
	})
	if err != nil {
		return err
	}
	c.repeat(ctx, 2*time.Millisecond, func(int) {
		start := now()
		version, err := values.Get(ctx, nearID)
		if err != nil {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.record.Reads[version] = max(c.record.Reads[version], start)
	})
	return nil
}

const nearID, waitedID, heldID = "value", "waited", "held"

func nearPrefix(tag string) string { return fmt.Sprintf("near:{%s}:", tag) }
func lockPrefix(tag string) string { return fmt.Sprintf("lock:{%s}:", tag) }

// startHub listens, and publishes in the same channel.
func (c *client) startHub(ctx context.Context, rdb redis.UniversalClient) error {
	topic, err := pubsub.NewTopic[letter](rdb, channelOf(c.Tag, rediskitKind), pubsub.Config{})
	if err != nil {
		return err
	}
	hub, err := topic.Listen(ctx)
	if err != nil {
		return err
	}
	events := hub.Subscribe()
	go func() {
		for m, err := range events.All(context.Background()) {
			var gap *pubsub.GapError
			if err == nil || errors.As(err, &gap) {
				c.received(event{From: m.Value.From, N: m.Value.N})
			}
		}
	}()
	c.repeat(ctx, publishEvery, func(n int) {
		start := now()
		if _, err := topic.Publish(ctx, letter{rediskitKind, n}); err == nil {
			c.sent(n, start)
		}
	})
	return nil
}

// startLocks waits for a lock, and holds another one.
func (c *client) startLocks(ctx context.Context, rdb redis.UniversalClient) error {
	locks, err := lock.New(rdb, lock.Config{Key: lockPrefix(c.Tag) + "*"})
	if err != nil {
		return err
	}
	if c.Hold {
		held, err := locks.Acquire(ctx, heldID)
		if err != nil {
			return err
		}
		c.work.Go(func() {
			trusted := trust(ctx, held)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.record.Trusted = trusted
		})
	}
	go func() { // no one waits for it: it may wait for ever
		if _, err := locks.Acquire(ctx, waitedID); err == nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.record.Waited = now()
		}
	}()
	return nil
}

// trust returns when the holder of a lock trusted it, until ctx ends. It looks often,
// because a process that is stopped trusts nothing.
func trust(ctx context.Context, held *lock.Lock) (trusted []span) {
	const every = 5 * time.Millisecond
	for ; ctx.Err() == nil && held.Context().Err() == nil; time.Sleep(every) {
		at := now()
		if last := len(trusted) - 1; last >= 0 && at-trusted[last].To < int64(20*every) {
			trusted[last].To = at
			continue
		}
		trusted = append(trusted, span{at, at})
	}
	return trusted
}
