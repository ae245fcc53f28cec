package session

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/refusal"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/sender"
)

// The statuses that scripts return.
const (
	done     = "done"
	absent   = "absent"
	exists   = "exists"
	conflict = "conflict"
	refused  = "refused"
)

const (
	// kindOp begins the kind of the siblings that record operations; the operation's
	// token follows.
	kindOp = "op-"

	// An operation may run from slack before it was sent until window after, by the
	// server's clock. A copy that arrives later is refused, so that a record need not
	// be kept for ever.
	window = 10 * time.Second
	slack  = time.Second
	// recordTTL is how long the record of an operation is kept, by the server's clock. It
	// is longer than window and slack, so that no copy finds it expired within its time.
	recordTTL = 30 * time.Second

	// clockAttempts bounds how often an operation is sent anew because the server's clock
	// was not what the store thought.
	clockAttempts = 3
)

// An operation is one change of one session.
type operation struct {
	name   string // for errors
	id     string
	script *sender.Script
	twice  bool  // it may run twice
	alone  bool  // it does not wait for replicas
	args   []any // the script's own
}

// common are the arguments that every script of this package begins with.
// session.lua names them in the same order.
type common struct {
	ttl       int64  // milliseconds
	lifetime  int64  // milliseconds; 0 for no limit
	touch     string // the field that holds the last activity, or ""
	notBefore int64  // by the server's clock, in Unix milliseconds
	notAfter  int64
	recordTTL int64 // milliseconds
	resent    int   // 1 in the copy that is sent after the reply to the first was lost
}

func (c common) args(own []any) []any {
	return append([]any{c.ttl, c.lifetime, c.touch, c.notBefore, c.notAfter, c.recordTTL, c.resent}, own...)
}

// operations runs operations, each once. It knows sessions only as hashes.
type operations struct {
	sender  *sender.Sender
	pattern keys.Pattern
	cfg     Config
	touch   string // the field that holds the last activity, or ""
	report  *report.Reporter
	clock   *clock
	stats   *counters
}

// A reply is what a script returned.
type reply struct {
	status string
	now    int64
	hash   map[string]string

	unreplicated error // the ErrUnreplicated of a change that was made
}

// run sends an operation so that it runs once. If the reply is lost, it sends a second
// copy, which finds the record of the first, or takes its place. Whichever copy arrives
// last, however late, finds the record of the other or is out of its time.
func (o *operations) run(ctx context.Context, op operation) (reply, error) {
	if err := ready(ctx, o.report, op.name, op.id); err != nil {
		return reply{}, err
	}
	for range clockAttempts {
		steps := o.clock.steps.Load()
		args, keys := o.begin(op)
		r, err := o.send(ctx, op, keys, args)
		switch {
		case sender.OutcomeOf(err) == sender.MayHaveRun: // no script of this package fails by itself once it has written
			if r, err = o.sendAgain(ctx, op, keys, args, steps, err); err != nil {
				return r, err
			}
		case err != nil:
			return r, failed(ctx, o.report, op.name, err)
		}
		if r.status != refused {
			return r, nil
		}
		// It changed nothing, and the clock is right now.
	}
	return reply{}, o.report.Fail(op.name, errLate)
}

// sendAgain sends a second copy of an operation, because the reply to the first was lost.
//
// The record of the first may be gone, if the server's clock stepped forward since, or if
// this machine was suspended. Where there is no record, the second copy therefore runs only
// if the server's clock has gone on as this machine's has: within slack, and without a
// step since steps was read. Otherwise it is open whether the first ran, or will.
func (o *operations) sendAgain(ctx context.Context, op operation, keys []string, args common, steps int64, lost error) (reply, error) {
	// A script that was stopped in its midst left no record for a second copy.
	if _, stopped := refusal.Of(lost); stopped || report.End(ctx) != nil {
		return reply{}, o.uncertain(op.name, o.report.Cause(ctx, lost))
	}
	o.stats.resent.Add(1)
	lost = o.report.Redis(ctx, op.name, lost)
	for range clockAttempts {
		again := args.again(o.clock.now())
		if o.clock.steps.Load() != steps {
			again.notAfter = 0 // it only looks for the record
		}
		r, err := o.send(ctx, op, keys, again)
		if err != nil {
			return r, o.uncertain(op.name, o.report.Cause(ctx, err))
		}
		switch {
		case r.status != refused, op.twice:
			o.report.OnError(ctx, lost)
			return r, nil
		case r.now > args.notAfter, o.clock.steps.Load() != steps:
			o.report.OnError(ctx, lost)
			return r, o.uncertain(op.name, errClock)
		}
		// It took long to arrive, as when a connection had to be made first.
	}
	o.report.OnError(ctx, lost)
	return reply{}, o.uncertain(op.name, errLate)
}

// again returns the arguments of the second copy of an operation that began with c, if the
// server's clock shows now. It keeps within the time of the first.
func (c common) again(now int64) common {
	c.resent = 1
	c.notBefore = max(c.notBefore, now-slack.Milliseconds())
	c.notAfter = min(c.notAfter, now+slack.Milliseconds())
	return c
}

var errClock = errors.New("the server's clock stepped, or this machine stood still, before the operation was sent again; read the session to learn what holds")

var errLate = errors.New("the operation reached Redis too late and was refused; look for a stalled server or network, or a clock that jumps")

// begin returns the arguments and the keys of an operation that is sent now.
func (o *operations) begin(op operation) (common, []string) {
	key, now := o.pattern.Key(op.id), o.clock.now()
	keyList := []string{key}
	if !op.twice {
		keyList = append(keyList, keys.Sibling(kindOp+rand.Text(), key))
	}
	return common{
		ttl: o.cfg.TTL.Milliseconds(), lifetime: o.cfg.MaxLifetime.Milliseconds(), touch: o.touch,
		notBefore: now - slack.Milliseconds(), notAfter: now + window.Milliseconds(),
		recordTTL: recordTTL.Milliseconds(),
	}, keyList
}

func (o *operations) send(ctx context.Context, op operation, keys []string, args common) (reply, error) {
	sent := time.Now()
	call := sender.Call{Script: op.script, Keys: keys, Args: args.args(op.args)}
	class, replicas := sender.Change, o.cfg.replicas()
	var wait []redis.Cmder
	if !op.alone && replicas.N > 0 {
		class, wait = sender.Pinned, replicas.Wait(ctx)
	}
	cmd := o.sender.Run(ctx, class, call, wait...)
	parts, err := cmd.Slice()
	if answer, ok := cmd.Val().([]any); ok && wait != nil {
		parts, err = answer, nil // if only the reply to WAIT is lost, go-redis fails the script, too
	}
	if err != nil {
		return reply{}, err
	}
	r, ok := parseReply(parts)
	if !ok {
		return reply{}, sender.ErrReply
	}
	o.clock.learn(r.now, sent)
	if r.status == done { // else there is nothing to replicate
		if missing := replicas.Missing(ctx, o.report, wait); missing != nil {
			o.stats.unreplicated.Add(1)
			r.unreplicated = o.report.Fail(op.name, fmt.Errorf("%w: %w", ErrUnreplicated, missing))
		}
	}
	return r, nil
}

func parseReply(parts []any) (r reply, ok bool) {
	if len(parts) != 2 && len(parts) != 3 {
		return r, false
	}
	r.status, _ = parts[0].(string)
	r.now, _ = parts[1].(int64)
	switch r.status {
	case done, absent, exists, conflict, refused:
		ok = r.now > 0
	}
	if !ok || len(parts) == 2 {
		return r, ok
	}
	fields, ok := parts[2].([]any)
	if !ok || len(fields)%2 != 0 {
		return r, false
	}
	r.hash = make(map[string]string, len(fields)/2)
	for pair := range slices.Chunk(fields, 2) {
		name, ok := pair[0].(string)
		if !ok {
			return r, false
		}
		switch value := pair[1].(type) {
		case string:
			r.hash[name] = value
		case int64: // a time that the script wrote
			r.hash[name] = strconv.FormatInt(value, 10)
		default:
			return r, false
		}
	}
	return r, true
}

func (o *operations) uncertain(op string, cause error) error {
	o.stats.uncertain.Add(1)
	return o.report.Fail(op, fmt.Errorf("%w: %w", ErrUncertain, cause))
}
