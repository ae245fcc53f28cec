package lock

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/sender"
)

// take asks once for the lock of key. A lock that it returns is cancelled with parent.
// left, if not nil, is PTTL of the key: sent along, it says how long a lock that is held
// will last.
func (k *Locker) take(ctx, parent context.Context, op, key string, left *redis.DurationCmd) (*Lock, error) {
	client, wait := k.obtain, k.replicas().Wait(ctx)
	if wait != nil || left != nil {
		extra := wait
		if left != nil {
			extra = append(extra, left)
		}
		client = k.obtainer(extra)
	}
	token := rand.Text()
	value := token + k.named
	start := k.clock()
	handle, err := client.Obtain(ctx, key, k.cfg.TTL, &redislock.Options{Token: token, Metadata: k.named})
	switch {
	case errors.Is(err, redislock.ErrNotObtained):
		return nil, k.report.Fail(op, ErrHeld)
	case err != nil:
		if sender.OutcomeOf(err) == sender.MayHaveRun {
			k.abandon(ctx, key, value, start)
		}
		return nil, k.report.Redis(ctx, op, err)
	}
	if err := k.acknowledged(ctx, wait); err != nil {
		k.abandon(ctx, key, value, start)
		return nil, k.report.Fail(op, err)
	}
	if k.clock().since(start) >= k.cfg.validFor() {
		k.abandon(ctx, key, value, start)
		return nil, k.report.Fail(op, ErrLate)
	}
	l := k.newLock(parent, key, handle, start)
	if l == nil {
		k.abandon(ctx, key, value, start)
		return nil, k.report.Fail(op, ErrClosed)
	}
	k.stats.acquired.Add(1)
	return l, nil
}

//go:embed obtain.lua
var obtainLua string

var obtainScript = sender.NewScript(obtainLua)

// obtained is what obtain.lua returns for a lock. redislock takes any reply but nil and an
// error for one.
var obtained any = "OK"

// named is what follows the token in the value of a lock: its TTL. If its key has a longer
// one, the server's clock was set back.
func (c Config) named() string { return fmt.Sprintf(":px=%d", c.TTL.Milliseconds()) }

// obtainer returns a redislock that takes locks by obtain.lua in place of its own script.
func (k *Locker) obtainer(extra []redis.Cmder) *redislock.Client {
	s := k.scripter(sender.Take, obtained, extra)
	send := s.Send
	s.Send = func(ctx context.Context, call sender.Call) *redis.Cmd {
		call.Script = obtainScript
		return send(ctx, call)
	}
	return redislock.New(s)
}

// scripter returns the client of a redislock: it sends each script once, through the
// sender. extra goes out behind each script, in the same round trip and on the same
// connection. want is the only reply, other than nil and errors, that a script may have;
// nil for any.
func (k *Locker) scripter(class sender.Class, want any, extra []redis.Cmder) sender.Scripter {
	if k.cfg.Replicas.N > 0 {
		class = sender.Pinned // WAIT has no key that leads it to the lock's primary
	}
	return sender.Scripter{UniversalClient: k.rdb, Send: func(ctx context.Context, call sender.Call) *redis.Cmd {
		cmd := k.sender.Run(ctx, class, call, extra...)
		if want != nil && cmd.Err() == nil && cmd.Val() != want {
			cmd.SetErr(sender.ErrReply)
		}
		return cmd
	}}
}

func (k *Locker) replicas() sender.Replicas { return sender.Replicas(k.cfg.Replicas) }

// acknowledged returns an error if fewer replicas than wanted have answered wait.
func (k *Locker) acknowledged(ctx context.Context, wait []redis.Cmder) error {
	if err := k.replicas().Missing(ctx, k.report, wait); err != nil {
		return fmt.Errorf("%w: %w", ErrReplicas, err)
	}
	return nil
}
