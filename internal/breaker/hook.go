package breaker

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// resends is how often a command whose connection had ended is sent again: at once,
// and after resendPause if the next connection ended too.
const (
	resends     = 2
	resendPause = 10 * time.Millisecond
)

// ProcessHook guards single commands.
func (b *Breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := b.enter(ctx, cmd); err != nil {
			if sent(cmd) {
				return cmd.Err()
			}
			return err
		}
		defer b.calls.Leave(1)
		for attempt := 0; ; attempt++ {
			start := b.now()
			err := next(ctx, cmd)
			b.leave(ctx, cmd, start, err, attempt)
			if err == nil || !b.mayResend(ctx, attempt, err, cmd) {
				return err
			}
		}
	}
}

// ProcessPipelineHook guards pipelines and transactions; each counts as one call.
func (b *Breaker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if len(cmds) == 0 {
			return next(ctx, cmds)
		}
		if err := b.enter(ctx, cmds[0]); err != nil {
			for _, cmd := range cmds {
				if !sent(cmd) {
					cmd.SetErr(err)
				}
			}
			return cmds[0].Err()
		}
		defer b.calls.Leave(1)
		for attempt := 0; ; attempt++ {
			start := b.now()
			err := next(ctx, cmds)
			b.leave(ctx, cmds[0], start, err, attempt)
			if err != nil { // that of the first command that failed, which may be a miss
				for _, cmd := range cmds[1:] {
					b.tellRefusal(start, cmd.Err())
				}
			}
			if err == nil || !unanswered(cmds) || !b.mayResend(ctx, attempt, err, cmds...) {
				return err
			}
		}
	}
}

// sent reports whether cmd was sent before and may have run. A Cluster client repeats
// commands above the hooks of its nodes.
func sent(cmd redis.Cmder) bool {
	err := cmd.Err()
	return err != nil && !unsent(err) && !dialed(err) && judge(err, Patience) != alive
}

// unanswered reports whether the connection ended before any of cmds was answered. The
// error of the first command decides, except for the MULTI of a transaction: go-redis
// sets the error of a later command on it, although MULTI was answered and EXEC may
// have run.
func unanswered(cmds []redis.Cmder) bool {
	return cut(cmds[0].Err()) && cmds[0].Name() != "multi"
}

// enter decides whether a call is sent, and counts it until b.calls.Leave.
func (b *Breaker) enter(ctx context.Context, cmd redis.Cmder) error {
	if b.state.Load() != closed {
		if err := b.admit(ctx); err != nil {
			return err
		}
	}
	return b.calls.enter(ctx, cmd)
}

func (b *Breaker) leave(ctx context.Context, cmd redis.Cmder, start int64, err error, attempt int) {
	if err == nil && b.failures.Load() == 0 || handshake(cmd) || blocks(cmd) && TimedOut(err) && !dialed(err) {
		return
	}
	b.record(ctx, start, err, attempt)
}

// mayResend reports whether cmds, which failed with err, are sent once more: their
// pooled connection had ended, or it leads to a primary that was demoted. They are
// never sent again after a time-out: a second wait would double the outage, and a
// server that was slow but not dead would run them twice.
func (b *Breaker) mayResend(ctx context.Context, attempt int, err error, cmds ...redis.Cmder) bool {
	if !b.resend || attempt == resends || !cut(err) && !redis.IsReadOnlyError(err) ||
		handshake(cmds[0]) || slices.ContainsFunc(cmds, redis.Cmder.NoRetry) {
		return false
	}
	if attempt > 0 {
		pause := time.NewTimer(resendPause)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
	// If the breaker has opened meanwhile, there is no other attempt. The commands keep
	// the error of the last one: ErrOpen would say that they were never sent.
	return ctx.Err() == nil && (b.state.Load() == closed || b.admit(ctx) == nil)
}

// handshake recognises the commands that go-redis sends on a new connection, through
// the same hooks, before the command that needs the connection. They are not counted.
// If they fail, that command fails too and is counted. If they succeed, this proves
// nothing: a server that loads or hangs may still answer a handshake.
func handshake(cmd redis.Cmder) bool {
	switch cmd.Name() {
	case "hello", "auth", "client", "select", "readonly":
		return true
	}
	return false
}

// blocks recognises commands that wait at the server for an event. If the caller's
// deadline comes before the event, this does not count against the server.
func blocks(cmd redis.Cmder) bool {
	switch cmd.Name() {
	case "blpop", "brpop", "brpoplpush", "blmove", "blmpop", "bzpopmin", "bzpopmax", "bzmpop", "wait", "waitaof":
		return true
	case "xread", "xreadgroup":
		return slices.ContainsFunc(cmd.Args(), func(arg any) bool {
			word, ok := arg.(string)
			return ok && strings.EqualFold(word, "block")
		})
	}
	return false
}
