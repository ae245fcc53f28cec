package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/jsoncodec"
	"github.com/convkit/rediskit/internal/report"
)

// A Topic is a channel whose messages are JSON of one type. It is safe for concurrent
// use and needs no Close.
type Topic[T any] struct {
	rdb       redis.UniversalClient
	publisher *publisher
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
	publisher := newPublisher(rdb, channel, channel)
	if cfg.History.on() {
		publisher = newRecorder(rdb, channel, cfg.History)
	}
	return &Topic[T]{
		rdb: rdb, publisher: publisher, channel: channel, cfg: cfg,
		json:   jsoncodec.For[T](),
		report: report.New("pubsub", cfg.Name, cfg.OnError),
	}, nil
}

// Publish sends v to all connections that listen at this moment, and returns how many
// there are: a Hub is one, whatever the number of its subscriptions. On a Cluster only
// those at the primary of the channel's slot are counted. Every Hub of the channel is
// there; other programs may listen at other nodes.
//
// A server that must not be written to, or does not own the slot, refuses: NOREPLICAS,
// READONLY, MISCONF, MASTERDOWN and CLUSTERDOWN are errors, and nothing was published.
//
// It is never sent twice. When the reply is lost, the error leaves open whether v was
// published, or will be: what is on its way to Redis may arrive late, even after a later
// Publish. Otherwise messages that one goroutine publishes arrive in that order.
//
// With Config.History it also keeps v, or nothing at all: OOM refuses it then as well. While
// a slot of a Cluster moves, TRYAGAIN may be the error too.
//
// One round trip: a script of DEL, of a key that does not exist, and PUBLISH. With
// Config.History, a script of GET, TIME, XADD, XTRIM, PEXPIRE, SET and two PUBLISH.
func (t *Topic[T]) Publish(ctx context.Context, v T) (receivers int64, err error) {
	payload, err := t.encode(v)
	if err != nil {
		return 0, err
	}
	receivers, err = t.publisher.publish(ctx, payload)
	if err != nil {
		return 0, t.report.Redis(ctx, "publish", err)
	}
	t.published.Add(1)
	return receivers, nil
}

// PublishAll publishes values in their order, as Publish does. A value that cannot be
// encoded is an error before any is sent. On any other error the first few may have been
// published, and those after them were not.
//
// One round trip for each 1000 values or MiB: scripts as of Publish, each with all its
// values or none.
func (t *Topic[T]) PublishAll(ctx context.Context, values ...T) error {
	payloads := make([][]byte, len(values))
	for i, v := range values {
		var err error
		if payloads[i], err = t.encode(v); err != nil {
			return err
		}
	}
	for len(payloads) > 0 {
		n := nextBatch(payloads)
		if _, err := t.publisher.publish(ctx, payloads[:n]...); err != nil {
			return t.report.Redis(ctx, "publish all", err)
		}
		t.published.Add(uint64(n))
		payloads = payloads[n:]
	}
	return nil
}

// Listen returns a Hub of the topic once Redis has confirmed the subscription. A message
// that is published from then on reaches the subscriptions that the Hub has by then, or
// they receive a *GapError. Listen waits for a server that is away until ctx ends, and
// reports each attempt to Config.OnError. ctx bounds only that. A server that refuses,
// for a wrong password or a missing permission, is an error at once.
//
// It opens one connection, with SUBSCRIBE, on a Cluster to the primary of the channel's slot.
// With Config.History it also reads the history, with a script of GET and XRANGE for each
// 500 messages at most.
func (t *Topic[T]) Listen(ctx context.Context) (*Hub[T], error) {
	return listen[T](ctx, t.rdb, t.channel, false, t.cfg)
}

// Open is Listen without the wait: the Hub subscribes as soon as Redis lets it, so that a
// service starts before its Redis. What is published until then is lost: the subscriptions
// begin inside a gap, and receive its *GapError, once, ahead of their first message. With
// Config.History, what the history has follows it. Failed attempts go to Config.OnError. After
// a refusal that waiting does not mend, such as a missing permission, it tries again every
// second, until that is mended at the server.
func (t *Topic[T]) Open() (*Hub[T], error) {
	return open[T](t.rdb, t.channel, false, t.cfg)
}

// OpenPattern is ListenPattern without the wait, as Topic.Open is Topic.Listen without it.
func OpenPattern[T any](rdb redis.UniversalClient, pattern string, cfg Config) (*Hub[T], error) {
	cfg, err := completePattern(rdb, pattern, cfg)
	if err != nil {
		return nil, err
	}
	return open[T](rdb, pattern, true, cfg)
}

// ListenPattern returns a Hub of all channels that match a pattern of Redis's
// PSUBSCRIBE, such as "conversation:*", as Topic.Listen does for one channel.
// Message.Channel says which one it was. The library's own channels, rediskit:*, are
// left out. Config.History must be zero: a pattern's Hub does not read back what it missed.
//
// It opens one connection, with PSUBSCRIBE, on a Cluster one to each primary, and returns
// once all have confirmed. There the order of messages holds for each channel, and a
// message of another program may overtake one that was published at another node.
func ListenPattern[T any](ctx context.Context, rdb redis.UniversalClient, pattern string, cfg Config) (*Hub[T], error) {
	cfg, err := completePattern(rdb, pattern, cfg)
	if err != nil {
		return nil, err
	}
	return listen[T](ctx, rdb, pattern, true, cfg)
}

// completePattern returns cfg with its defaults, for a Hub of a pattern.
func completePattern(rdb redis.UniversalClient, pattern string, cfg Config) (Config, error) {
	if err := report.Client("pubsub", rdb); err != nil {
		return cfg, err
	}
	if cfg.History.on() {
		return cfg, errors.New("pubsub: Config.History is set for a pattern; a history is read by Topic.Listen and Topic.Open alone")
	}
	return cfg.complete("pattern", pattern)
}

// Name is Config.Name.
func (t *Topic[T]) Name() string { return t.cfg.Name }

// encode returns the payload of v.
func (t *Topic[T]) encode(v T) ([]byte, error) {
	data, err := t.json.Encode(v)
	if err != nil {
		return nil, t.report.Fail("publish", fmt.Errorf("%w: %s", ErrEncode, jsoncodec.Kind(err)))
	}
	return data, nil
}
