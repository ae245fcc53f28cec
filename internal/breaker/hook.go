package breaker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// resends is how often a command whose connection had died is sent again: at once,
// and after resendPause if the next connection was dying too.
const (
	resends     = 2
	resendPause = 10 * time.Millisecond
)

// ProcessHook guards single commands.
func (b *Breaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := b.enter(ctx); err != nil {
			if sent(cmd) {
				return cmd.Err()
			}
			return err
		}
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
		if err := b.enter(ctx); err != nil {
			for _, cmd := range cmds {
				if !sent(cmd) {
					cmd.SetErr(err)
				}
			}
			return cmds[0].Err()
		}
		for attempt := 0; ; attempt++ {
			start := b.now()
			err := next(ctx, cmds)
			b.leave(ctx, cmds[0], start, err, attempt)
			if err == nil || !unanswered(cmds) || !b.mayResend(ctx, attempt, err, cmds...) {
				return err
			}
		}
	}
}

// sent reports whether a Cluster client, which repeats commands above the hooks of its
// nodes, has tried cmd before and cannot know whether it ran.
func sent(cmd redis.Cmder) bool {
	err := cmd.Err()
	return err != nil && !errors.Is(err, ErrOpen) && !dialed(err) && judge(err, Patience) != alive
}

// unanswered reports whether the connection ended before any of cmds was answered.
// The first one tells, but for a transaction's MULTI: go-redis gives it the error of
// whatever came later, though it was answered and EXEC may have run.
func unanswered(cmds []redis.Cmder) bool {
	return cut(cmds[0].Err()) && cmds[0].Name() != "multi"
}

func (b *Breaker) enter(ctx context.Context) error {
	if b.state.Load() == closed {
		return nil
	}
	return b.admit(ctx)
}

func (b *Breaker) leave(ctx context.Context, cmd redis.Cmder, start int64, err error, attempt int) {
	if err == nil && b.failures.Load() == 0 || handshake(cmd) || blocks(cmd) && TimedOut(err) && !dialed(err) {
		return
	}
	b.record(ctx, start, err, attempt)
}

// mayResend reports whether cmds, which failed with err, are worth sending once
// more: their pooled connection had died, or leads to a master that was demoted.
// Never after a time-out: waiting twice doubles the outage, and a server that was
// slow rather than dead would run them twice.
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
	// A breaker that opened meanwhile ends the attempts, but what was sent has the
	// error of its sending: ErrOpen would claim that it never was.
	return ctx.Err() == nil && b.enter(ctx) == nil
}

// handshake recognises what go-redis sends on a new connection, through these same
// hooks, before the command that needed one. That command fails along with it and
// is counted; LOADING and hung servers may still answer a handshake, so its success
// proves nothing either.
func handshake(cmd redis.Cmder) bool {
	switch cmd.Name() {
	case "hello", "auth", "client", "select", "readonly":
		return true
	}
	return false
}

// blocks recognises commands that wait at the server for something to happen there.
// When their caller's deadline comes first, that is no silence of the server.
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
