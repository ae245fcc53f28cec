package sender

import (
	"context"
	"crypto/sha1"
	"encoding/hex"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
)

// A Script is one atomic transition in Lua. Redis knows it by its digest.
type Script struct {
	digest, source any // strings, in the form in which commands take them; either may be nil
}

// NewScript returns the script of a Lua source.
func NewScript(source string) *Script {
	sum := sha1.Sum([]byte(source))
	return &Script{digest: hex.EncodeToString(sum[:]), source: source}
}

// Refused is an error reply that a script caught, and returned as a text.
type Refused string

func (r Refused) Error() string { return string(r) }

// RedisError makes it a redis.Error.
func (Refused) RedisError() {}

// A Call is a script with its keys, all of one cluster slot, and its arguments.
type Call struct {
	Script *Script
	Keys   []string
	Args   []any
}

// ErrReply is what a caller makes of a reply that its script does not return. The
// script may have run.
var ErrReply = redact.New("a script was answered with something that it does not return; look for what stands between here and Redis")

// Run sends a call, with extra commands behind it in the same round trip, and returns
// its command with the outcome. If ctx ends first, while the call shares a round
// trip, the outcome is ctx's error, and extra is not the caller's any more.
//
// A script that the server does not know did not run. It is sent again with its
// source, which costs one more round trip, once for each script and server: of many
// calls that find the same, one sends the source and the others wait for that.
func (s *Sender) Run(ctx context.Context, class Class, call Call, extra ...redis.Cmder) *redis.Cmd {
	for {
		taught := s.taught.Load()
		if call.Script.digest != nil {
			cmd := s.run(ctx, class, call.byDigest(ctx), call, extra)
			if call.Script.source == nil || !isUnknown(cmd.Err()) {
				return cmd
			}
		}
		select {
		case s.teaching <- struct{}{}:
		case <-ctx.Done():
			cmd := redis.NewCmd(ctx)
			cmd.SetErr(withdrawn{ctx.Err()})
			return cmd
		}
		cmd := s.teach(ctx, taught, class, call, extra)
		if cmd != nil {
			return cmd
		}
		// Another call has sent a source meanwhile, perhaps to another server.
		if call.Script.digest == nil {
			call.Script = NewScript(call.Script.source.(string))
		}
	}
}

// teach sends a call with its source, unless another call has sent one since taught
// was read; then it returns nil. It gives the token of s.teaching back.
func (s *Sender) teach(ctx context.Context, taught uint64, class Class, call Call, extra []redis.Cmder) *redis.Cmd {
	defer func() { <-s.teaching }() // also if a hook panics
	if s.taught.Load() != taught {
		return nil
	}
	defer s.taught.Add(1)
	return s.run(ctx, class, call.bySource(ctx), call, extra)
}

func (s *Sender) run(ctx context.Context, class Class, cmd *redis.Cmd, call Call, extra []redis.Cmder) *redis.Cmd {
	var err error
	if len(extra) == 0 {
		err = s.Do(ctx, class, call.Keys[0], cmd)
	} else {
		err = s.Do(ctx, class, call.Keys[0], append([]redis.Cmder{cmd}, extra...)...)
	}
	if err != nil { // cmd still belongs to a pipeline
		cmd = redis.NewCmd(ctx)
		cmd.SetErr(err)
	}
	return cmd
}

// RunMany sends calls as DoMany does, and returns their commands in order; one call is
// Run. Calls whose script a server did not know are sent again with the source.
func (s *Sender) RunMany(ctx context.Context, class Class, calls ...Call) []*redis.Cmd {
	if len(calls) == 1 {
		return []*redis.Cmd{s.Run(ctx, class, calls[0])}
	}
	replies := make([]*redis.Cmd, len(calls))
	batch := make([]redis.Cmder, len(calls))
	for i, call := range calls {
		replies[i] = call.byDigest(ctx)
		batch[i] = replies[i]
	}
	s.DoMany(ctx, class, batch...)

	unknown := batch[:0]
	for i, call := range calls {
		if isUnknown(replies[i].Err()) {
			replies[i] = call.bySource(ctx)
			unknown = append(unknown, replies[i])
		}
	}
	s.DoMany(ctx, class, unknown...)
	return replies
}

func isUnknown(err error) bool { return err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") }

// byDigest returns the command of a call, with more arguments behind its own.
func (c Call) byDigest(ctx context.Context, more ...any) *redis.Cmd {
	return c.command(ctx, "evalsha", c.Script.digest, more)
}

func (c Call) bySource(ctx context.Context) *redis.Cmd {
	return c.command(ctx, "eval", c.Script.source, nil)
}

func (c Call) command(ctx context.Context, name string, script any, more []any) *redis.Cmd {
	args := make([]any, 0, 3+len(c.Keys)+len(c.Args)+len(more))
	args = append(args, name, script, len(c.Keys))
	for _, key := range c.Keys {
		args = append(args, key)
	}
	args = append(args, c.Args...)
	return redis.NewCmd(ctx, append(args, more...)...)
}

// A Scripter is the client that redislock gets: it passes each of its scripts to Send.
// What else a client can do, it does not ask for.
type Scripter struct {
	redis.UniversalClient
	// Send sends a call, whose script has only a digest or only a source.
	Send func(ctx context.Context, call Call) *redis.Cmd
}

// EvalSha sends a script by its digest.
func (s Scripter) EvalSha(ctx context.Context, digest string, keys []string, args ...any) *redis.Cmd {
	return s.Send(ctx, Call{Script: &Script{digest: digest}, Keys: keys, Args: args})
}

// Eval sends a script that the server did not know by its digest.
func (s Scripter) Eval(ctx context.Context, source string, keys []string, args ...any) *redis.Cmd {
	return s.Send(ctx, Call{Script: &Script{source: source}, Keys: keys, Args: args})
}
