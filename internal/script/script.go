// Package script runs Lua on Redis by digest, one script or a pipeline of
// them, in one round trip once the server knows them.
package script

import (
	"context"
	"crypto/sha1"
	"encoding/hex"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
)

// A Script is one atomic transition, kept with the digest that Redis knows
// it by.
type Script struct {
	bySource, byDigest []any // how the command begins
}

// New returns the script of a Lua source.
func New(source string) *Script {
	sum := sha1.Sum([]byte(source))
	s := Known(hex.EncodeToString(sum[:]))
	s.bySource = []any{"eval", source}
	return s
}

// Known returns the script of a digest whose source somebody else has. Run
// cannot send it to a server that does not know it: the reply is NOSCRIPT.
func Known(digest string) *Script { return &Script{byDigest: []any{"evalsha", digest}} }

// A Call is a script with its keys, all of one cluster slot, and arguments.
type Call struct {
	Script *Script
	Keys   []string
	Args   []any
}

// ErrReply is what a caller makes of a reply that its script does not return.
// The script may have run.
var ErrReply = redact.New("a script was answered with something that it does not return; look for what stands between here and Redis")

// Delivery says what happens to a call whose reply was lost.
type Delivery bool

const (
	// Retried calls are sent again as the client is set to: for scripts that
	// may run twice.
	Retried Delivery = false
	// Once calls are never sent again, and their error leaves open whether
	// they ran.
	Once Delivery = true
)

// Run sends the calls, several in one pipeline, and returns their replies in
// order, each with its own error. A script that the server does not know yet
// did not run; it is sent again with its source, which costs one more round
// trip once per script and server.
func Run(ctx context.Context, rdb redis.UniversalClient, delivery Delivery, calls ...Call) []*redis.Cmd {
	replies := make([]*redis.Cmd, len(calls))
	for i, call := range calls {
		replies[i] = call.command(ctx, call.Script.byDigest)
	}
	Send(ctx, rdb, delivery, replies...)

	var unknown []*redis.Cmd
	for i, call := range calls {
		if redis.HasErrorPrefix(replies[i].Err(), "NOSCRIPT") {
			replies[i] = call.command(ctx, call.Script.bySource)
			unknown = append(unknown, replies[i])
		}
	}
	Send(ctx, rdb, delivery, unknown...)
	return replies
}

func (c Call) command(ctx context.Context, beginning []any) *redis.Cmd {
	args := make([]any, 0, len(beginning)+1+len(c.Keys)+len(c.Args))
	args = append(append(args, beginning...), len(c.Keys))
	for _, key := range c.Keys {
		args = append(args, key)
	}
	return redis.NewCmd(ctx, append(args, c.Args...)...)
}

// Send sends commands that somebody else has made, several in one pipeline,
// and leaves each one's outcome in the command.
func Send(ctx context.Context, rdb redis.UniversalClient, delivery Delivery, cmds ...*redis.Cmd) {
	switch len(cmds) {
	case 0:
	case 1:
		_ = rdb.Process(ctx, deliver(cmds[0], delivery))
	default:
		pipe := rdb.Pipeline()
		for _, cmd := range cmds {
			_ = pipe.Process(ctx, deliver(cmd, delivery))
		}
		_, _ = pipe.Exec(ctx)
	}
}

func deliver(cmd *redis.Cmd, delivery Delivery) redis.Cmder {
	if delivery == Once {
		return NoRetry(cmd)
	}
	return cmd
}

// NoRetry is cmd as it is sent Once.
func NoRetry(cmd *redis.Cmd) redis.Cmder { return once{cmd} }

// once is a command that go-redis must not re-send: by default it does so
// after a lost reply, when the command may have run.
type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }
