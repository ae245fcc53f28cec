package pubsub

import (
	"context"
	_ "embed"
	"math/rand/v2"

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
	sender *sender.Sender
	script *sender.Script
	keys   []string // they make a script of the channel's slot and a write
	args   []any    // ahead of the payloads
	random bool     // a random number comes between
}

// newPublisher returns a publisher on channel, whose messages have the slot of the key or
// channel that it belongs to.
func newPublisher(rdb redis.UniversalClient, channel, of string) *publisher {
	return &publisher{
		sender: sender.New(rdb, false), script: publishScript,
		keys: []string{keys.Sibling("published", of)}, args: []any{channel},
	}
}

// newRecorder returns a publisher that keeps what it publishes in the channel's history.
func newRecorder(rdb redis.UniversalClient, channel string, history History) *publisher {
	return &publisher{
		sender: sender.New(rdb, false), script: recordScript, keys: historyKeys(channel), random: true,
		args: []any{channel, positionsOf(channel), history.Messages, history.Age.Milliseconds(), (history.Age + lastTTL).Milliseconds()},
	}
}

// publish publishes payloads in their order, all or, when it is refused, none. It returns how
// many connections have received the last one. It is sent again only if it surely did not run.
func (p *publisher) publish(ctx context.Context, payloads ...[]byte) (receivers int64, err error) {
	args := make([]any, len(p.args), len(p.args)+1+len(payloads))
	copy(args, p.args)
	if p.random {
		args = append(args, rand.Uint32())
	}
	for _, payload := range payloads {
		args = append(args, payload)
	}
	cmd := p.sender.Run(ctx, sender.Change, sender.Call{Script: p.script, Keys: p.keys, Args: args})
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
