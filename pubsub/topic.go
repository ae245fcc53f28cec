package pubsub

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/jsoncodec"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/sender"
)

// A Topic is a channel whose messages are JSON of one type. It is safe for concurrent
// use and needs no Close.
type Topic[T any] struct {
	rdb       redis.UniversalClient
	sender    *sender.Sender
	channel   string
	cfg       Config
	json      jsoncodec.Codec[T]
	report    *report.Reporter
	published atomic.Uint64
}

// NewTopic returns the topic of a channel over rdb: a client of a single server, of
// Sentinel or of a Cluster. It sends nothing. An impossible setting is an error that
// names the field.
func NewTopic[T any](rdb redis.UniversalClient, channel string, cfg Config) (*Topic[T], error) {
	if err := report.Client("pubsub", rdb); err != nil {
		return nil, err
	}
	cfg, err := cfg.complete("channel", channel)
	if err != nil {
		return nil, err
	}
	return &Topic[T]{
		rdb: rdb, sender: sender.New(rdb, true), channel: channel, cfg: cfg,
		json:   jsoncodec.For[T](),
		report: report.New("pubsub", cfg.Name, cfg.OnError),
	}, nil
}

// Publish sends v to all connections that listen at this moment, and returns how many
// there are: a Hub is one, whatever the number of its subscriptions. On a Cluster only
// those at the node that serves the channel's slot are counted, so that 0 does not
// mean that none listens.
//
// It is never sent twice. When the reply is lost, the error leaves open whether v was
// published. Messages that one goroutine publishes arrive in that order.
//
// One round trip: PUBLISH.
func (t *Topic[T]) Publish(ctx context.Context, v T) (receivers int64, err error) {
	cmd, err := t.command(ctx, v)
	if err != nil {
		return 0, err
	}
	send(ctx, t.sender, t.channel, cmd)
	receivers, err = cmd.Int64()
	if err != nil {
		return 0, t.report.Redis(ctx, "publish", err)
	}
	t.published.Add(1)
	return receivers, nil
}

// PublishAll publishes values in their order, as Publish does. A value that cannot be
// encoded is an error before any is sent. On any other error some may have been
// published.
//
// One round trip: a pipeline of PUBLISH.
func (t *Topic[T]) PublishAll(ctx context.Context, values ...T) error {
	cmds := make([]*redis.Cmd, len(values))
	batch := make([]redis.Cmder, len(values))
	for i, v := range values {
		cmd, err := t.command(ctx, v)
		if err != nil {
			return err
		}
		cmds[i], batch[i] = cmd, cmd
	}
	send(ctx, t.sender, t.channel, batch...)
	var first error
	for _, cmd := range cmds {
		if _, err := cmd.Int64(); err == nil {
			t.published.Add(1)
		} else if first == nil {
			first = err
		}
	}
	if first != nil {
		return t.report.Redis(ctx, "publish all", first)
	}
	return nil
}

// Listen returns a Hub of the topic once Redis has confirmed the subscription. A message
// that is published from then on reaches the subscriptions that the Hub has by then, or
// they receive a *GapError. Listen waits for a server that is away until ctx ends, and
// reports each attempt to Config.OnError. ctx bounds only that. A server that refuses,
// for a wrong password or a missing permission, is an error at once.
//
// It opens one connection, with SUBSCRIBE.
func (t *Topic[T]) Listen(ctx context.Context) (*Hub[T], error) {
	return listen[T](ctx, t.rdb, t.channel, false, t.cfg)
}

// ListenPattern returns a Hub of all channels that match a pattern of Redis's
// PSUBSCRIBE, such as "conversation:*", as Topic.Listen does for one channel.
// Message.Channel says which one it was. The library's own channels, rediskit:*, are
// left out.
func ListenPattern[T any](ctx context.Context, rdb redis.UniversalClient, pattern string, cfg Config) (*Hub[T], error) {
	if err := report.Client("pubsub", rdb); err != nil {
		return nil, err
	}
	cfg, err := cfg.complete("pattern", pattern)
	if err != nil {
		return nil, err
	}
	return listen[T](ctx, rdb, pattern, true, cfg)
}

// Name is Config.Name.
func (t *Topic[T]) Name() string { return t.cfg.Name }

// command returns PUBLISH of v.
func (t *Topic[T]) command(ctx context.Context, v T) (*redis.Cmd, error) {
	data, err := t.json.Encode(v)
	if err != nil {
		return nil, t.report.Fail("publish", fmt.Errorf("%w: %s", ErrEncode, jsoncodec.Kind(err)))
	}
	return newPublish(ctx, t.channel, data), nil
}

// newPublish returns PUBLISH, as the kind of command that the sender sends without
// another allocation.
func newPublish(ctx context.Context, channel string, payload []byte) *redis.Cmd {
	return redis.NewCmd(ctx, "publish", channel, payload)
}

// send sends PUBLISH commands once, to the primary of the channel's slot. On a Cluster
// every node takes them, but messages from two nodes reach a listener in any order.
func send(ctx context.Context, s *sender.Sender, channel string, cmds ...redis.Cmder) {
	_ = s.Do(ctx, sender.Pinned, channel, cmds...) // each command has its outcome
}
