package pubsub

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/jsoncodec"
	"github.com/convkit/rediskit/internal/report"
)

// A Topic is a channel whose messages are JSON of one type. It is safe for
// concurrent use and needs no Close.
type Topic[T any] struct {
	rdb       redis.UniversalClient
	channel   string
	cfg       Config
	json      jsoncodec.Codec[T]
	report    *report.Reporter
	published atomic.Uint64
}

// NewTopic returns the topic of a channel over rdb: a client of a single server,
// of Sentinel or of a Cluster. It sends nothing. An impossible setting is an error
// that names the field.
func NewTopic[T any](rdb redis.UniversalClient, channel string, cfg Config) (*Topic[T], error) {
	if err := report.Client("pubsub", rdb); err != nil {
		return nil, err
	}
	cfg, err := cfg.complete("channel", channel)
	if err != nil {
		return nil, err
	}
	return &Topic[T]{
		rdb: rdb, channel: channel, cfg: cfg,
		json:   jsoncodec.For[T](),
		report: report.New("pubsub", cfg.Name, cfg.OnError),
	}, nil
}

// Publish sends v to whoever listens at this moment, and returns how many
// connections that are: a Hub is one, whatever the number of its subscriptions.
// On a Cluster only those at the node that serves the channel's slot are counted,
// so that 0 does not mean nobody.
//
// It is never sent twice. When the reply is lost, the error leaves open whether v
// was published. Messages that one goroutine publishes arrive in that order.
//
// One round trip: PUBLISH.
func (t *Topic[T]) Publish(ctx context.Context, v T) (receivers int64, err error) {
	cmd, err := t.command(ctx, v)
	if err != nil {
		return 0, err
	}
	node, err := t.node(ctx)
	if err == nil {
		err = node.Process(ctx, cmd)
	}
	if err != nil {
		return 0, t.failed(ctx, "publish", err)
	}
	t.published.Add(1)
	return cmd.Val(), nil
}

// PublishAll publishes values in their order, as Publish does. A value that
// cannot be encoded is an error before any is sent; on any other error some may
// have been published.
//
// One round trip: a pipeline of PUBLISH.
func (t *Topic[T]) PublishAll(ctx context.Context, values ...T) error {
	if len(values) == 0 {
		return nil
	}
	cmds := make([]redis.Cmder, len(values))
	for i, v := range values {
		cmd, err := t.command(ctx, v)
		if err != nil {
			return err
		}
		cmds[i] = cmd
	}
	node, err := t.node(ctx)
	if err != nil {
		return t.failed(ctx, "publish all", err)
	}
	pipe := node.Pipeline()
	for _, cmd := range cmds {
		_ = pipe.Process(ctx, cmd) // queues it
	}
	_, err = pipe.Exec(ctx)
	for _, cmd := range cmds {
		if cmd.Err() == nil {
			t.published.Add(1)
		}
	}
	if err != nil {
		return t.failed(ctx, "publish all", err)
	}
	return nil
}

// Listen returns a Hub of the topic once Redis has confirmed the subscription: a
// message that is published from then on reaches the subscriptions that the Hub
// has by then, or they are told a gap. It waits for a server that is away until
// ctx ends, telling Config.OnError of each attempt. ctx bounds only that. A server
// that refuses, for a wrong password or a missing permission, is an error at once.
//
// It opens one connection, with SUBSCRIBE.
func (t *Topic[T]) Listen(ctx context.Context) (*Hub[T], error) {
	return listen[T](ctx, t.rdb, t.channel, false, t.cfg)
}

// ListenPattern returns a Hub of all channels that match a pattern of Redis's
// PSUBSCRIBE, such as "conversation:*", as Topic.Listen does for one channel.
// Message.Channel tells them apart. The library's own channels, rediskit:*, are
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

// command is PUBLISH of v.
func (t *Topic[T]) command(ctx context.Context, v T) (publish, error) {
	data, err := t.json.Encode(v)
	if err != nil {
		return publish{}, t.report.Fail("publish", fmt.Errorf("%w: %s", ErrEncode, jsoncodec.Kind(err)))
	}
	return newPublish(ctx, t.channel, data), nil
}

// node is where to publish. On a Cluster every node would do, but two of them
// pass messages on in no common order, so that the channel's slot decides.
func (t *Topic[T]) node(ctx context.Context) (redis.UniversalClient, error) {
	if cluster, ok := t.rdb.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, t.channel)
	}
	return t.rdb, nil
}

// failed is err as its caller gets it. On a Cluster another master may have taken
// over; nobody redirects a PUBLISH, so that the client would know ten seconds later.
func (t *Topic[T]) failed(ctx context.Context, op string, err error) error {
	if cluster, ok := t.rdb.(*redis.ClusterClient); ok {
		cluster.ReloadState(ctx)
	}
	return t.report.Redis(ctx, op, err)
}

// publish is a command that go-redis must not re-send, as it does by default
// after a lost reply, when the message may have been delivered.
type publish struct{ *redis.IntCmd }

func newPublish(ctx context.Context, channel string, payload []byte) publish {
	return publish{redis.NewIntCmd(ctx, "publish", channel, payload)}
}

func (publish) NoRetry() bool { return true }
