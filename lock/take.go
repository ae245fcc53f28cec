package lock

import (
	"context"
	"crypto/rand"
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
	client, wait := k.obtain, k.acknowledgement(ctx)
	if wait != nil || left != nil {
		extra := wait
		if left != nil {
			extra = append(extra, left)
		}
		client = redislock.New(k.scripter(obtained, extra))
	}
	token := rand.Text() // of one length always: redislock compares prefixes
	start := k.clock()
	handle, err := client.Obtain(ctx, key, k.cfg.TTL, &redislock.Options{Token: token})
	switch {
	case errors.Is(err, redislock.ErrNotObtained):
		return nil, k.report.Fail(op, ErrHeld)
	case err != nil:
		if sender.OutcomeOf(err) == sender.MayHaveRun {
			k.abandon(ctx, key, token, start)
		}
		return nil, k.report.Redis(ctx, op, err)
	}
	if err := k.acknowledged(wait); err != nil {
		k.abandon(ctx, key, token, start)
		return nil, k.report.Fail(op, err)
	}
	if k.clock().since(start) >= k.cfg.validFor() {
		k.abandon(ctx, key, token, start)
		return nil, k.report.Fail(op, ErrLate)
	}
	l := k.newLock(parent, key, handle, start)
	if l == nil {
		k.abandon(ctx, key, token, start)
		return nil, k.report.Fail(op, ErrClosed)
	}
	k.stats.acquired.Add(1)
	return l, nil
}

// obtained is what redislock's script returns for a lock. redislock takes any reply but
// nil and an error for one.
var obtained any = "OK"

// scripter returns the client of a redislock: it sends each script once, through the
// sender. extra goes out behind each script, in the same round trip and on the same
// connection. want is the only reply, other than nil and errors, that a script may have;
// nil for any.
func (k *Locker) scripter(want any, extra []redis.Cmder) sender.Scripter {
	return sender.Scripter{UniversalClient: k.rdb, Send: func(ctx context.Context, call sender.Call) *redis.Cmd {
		class := sender.Change
		if len(extra) > 0 { // WAIT and PUBLISH have no key that leads them to the lock's primary
			class = sender.Pinned
		}
		cmd := k.sender.Run(ctx, class, call, extra...)
		if want != nil && cmd.Err() == nil && cmd.Val() != want {
			cmd.SetErr(sender.ErrReply)
		}
		return cmd
	}}
}

// acknowledgement returns the command that waits for the replicas, none without
// Config.Replicas.
func (k *Locker) acknowledgement(ctx context.Context) []redis.Cmder {
	r := k.cfg.Replicas
	if r.N == 0 {
		return nil
	}
	return []redis.Cmder{redis.NewIntCmd(ctx, "wait", r.N, r.Timeout.Milliseconds())}
}

// acknowledged returns an error if fewer replicas than wanted have answered wait.
func (k *Locker) acknowledged(wait []redis.Cmder) error {
	if len(wait) == 0 {
		return nil
	}
	got := wait[0].(*redis.IntCmd)
	if got.Err() == nil && got.Val() >= int64(k.cfg.Replicas.N) {
		return nil
	}
	return fmt.Errorf("%w: %d of %d did within %v", ErrReplicas, got.Val(), k.cfg.Replicas.N, k.cfg.Replicas.Timeout)
}
