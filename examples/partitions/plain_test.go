package partitions

import (
	"context"
	"encoding/json"
	"time"

	"github.com/redis/go-redis/v9"
)

// publishEvery is the pause between two messages of a publisher.
const publishEvery = 20 * time.Millisecond

// A letter is what is published.
type letter struct {
	From string
	N    int
}

// startPlain starts calls, a subscription and publishers with go-redis alone.
func (c *client) startPlain(ctx context.Context) error {
	c.dialer.Timeout = 5 * time.Second // as go-redis has it
	rdb := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: c.Addrs, MasterName: c.MasterName, Dialer: c.dial,
	})
	channel := channelOf(c.Tag, plainKind)
	events := rdb.Subscribe(ctx, channel)
	if _, err := events.Receive(ctx); err != nil {
		return err
	}
	go func() {
		for m := range events.Channel() {
			var l letter
			if json.Unmarshal([]byte(m.Payload), &l) == nil {
				c.received(event{From: l.From, N: l.N})
			}
		}
	}()
	c.startCalls(ctx, rdb)
	c.repeat(ctx, publishEvery, func(n int) { c.publish(ctx, rdb, channel, letter{plainKind, n}, nil) })
	c.repeat(ctx, publishEvery, func(n int) {
		c.publish(ctx, rdb, channelOf(c.Tag, rediskitKind), letter{other, n}, func(start int64) { c.sent(n, start) })
	})
	return nil
}

func (c *client) publish(ctx context.Context, rdb redis.UniversalClient, channel string, l letter, confirmed func(start int64)) {
	text, _ := json.Marshal(l)
	start := now()
	if err := rdb.Publish(ctx, channel, text).Err(); err == nil && confirmed != nil {
		confirmed(start)
	}
}
