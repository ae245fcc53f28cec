package main

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/pubsub"
)

// publishes compares what it costs to publish a message that one connection hears, with and
// without a history, with the commands alone. PUBLISH is confirmed by any server, XADD is
// heard by nobody, and of the two in one pipeline either may be lost.
func publishes(name string) contest {
	return contest{name: name, goroutines: levels, enter: func(a *arena) []contestant {
		rdb := a.goRedis()
		publish := func(channel string, history pubsub.History) func(context.Context, int) error {
			topic := must(pubsub.NewTopic[event](a.rediskit(), channel, pubsub.Config{History: history}))
			a.owns(must(topic.Listen(a.ctx)))
			return func(ctx context.Context, _ int) error {
				_, err := topic.Publish(ctx, anEvent)
				return err
			}
		}
		heard := rdb.Subscribe(a.ctx, "publish:command")
		_ = must(heard.Receive(a.ctx)) // confirmed
		a.owns(heard)
		go func() {
			for range heard.Channel() { // takes them, until heard is closed
			}
		}()
		return []contestant{
			{by: "rediskit", call: publish("publish:plain", pubsub.History{})},
			{by: "rediskit-history", call: publish("publish:history", pubsub.History{Messages: 1000})},
			{by: "PUBLISH", call: func(ctx context.Context, _ int) error {
				return rdb.Publish(ctx, "publish:command", toJSON(anEvent)).Err()
			}},
			{by: "XADD", call: func(ctx context.Context, _ int) error {
				return rdb.XAdd(ctx, keptEvent()).Err()
			}},
			{by: "XADD,PUBLISH", call: func(ctx context.Context, _ int) error {
				_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
					p.XAdd(ctx, keptEvent())
					p.Publish(ctx, "publish:command", toJSON(anEvent))
					return nil
				})
				return err
			}},
		}
	}}
}

func keptEvent() *redis.XAddArgs {
	return &redis.XAddArgs{
		Stream: "publish:stream", MaxLen: 1000, Approx: true, Values: []any{"payload", toJSON(anEvent)},
	}
}
