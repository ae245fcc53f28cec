package pubsub

import (
	"context"
	_ "embed"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/sender"
)

var (
	//go:embed publish.lua
	publishSource string
	publishScript = sender.NewScript(publishSource)
)

// One call of the script has no more than so many messages, and, unless it is only one
// message, no more than so many bytes: the server does nothing else meanwhile.
const (
	maxMessages = 1000
	maxBytes    = 1 << 20
)

// A publisher publishes on one channel, at the primary of the channel's slot.
type publisher struct {
	sender  *sender.Sender
	channel string
	guard   []string // the key that makes a script of the channel's slot and a write
}

// newPublisher returns a publisher on channel, whose messages have the slot of the key or
// channel that it belongs to.
func newPublisher(rdb redis.UniversalClient, channel, of string) *publisher {
	return &publisher{sender.New(rdb, true), channel, []string{keys.Sibling("published", of)}}
}

// publish publishes payloads in their order, all or, when it is refused, none. It returns how
// many connections have received the last one. It is sent again only if it surely did not run.
func (p *publisher) publish(ctx context.Context, payloads ...[]byte) (receivers int64, err error) {
	args := make([]any, 1, 1+len(payloads))
	args[0] = p.channel
	for _, payload := range payloads {
		args = append(args, payload)
	}
	// Pinned: go-redis's own routing does not ask for the map anew when a primary is gone.
	cmd := p.sender.Run(ctx, sender.Pinned, sender.Call{Script: publishScript, Keys: p.guard, Args: args})
	if err := cmd.Err(); err != nil {
		return 0, err
	}
	receivers, ok := cmd.Val().(int64)
	if !ok {
		return 0, sender.ErrReply
	}
	return receivers, nil
}

// nextBatch returns how many of payloads go into one call: at least one.
func nextBatch(payloads [][]byte) int {
	size := 0
	for i, payload := range payloads {
		if size += len(payload); i > 0 && size > maxBytes || i == maxMessages {
			return i
		}
	}
	return len(payloads)
}
