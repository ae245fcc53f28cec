package ratelimit

import (
	"context"
	_ "embed"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/sender"
)

//go:embed rewind.lua
var rewindSource string

var rewindScript = sender.NewScript(rewindSource)

// gcraCounts counts GCRA in Redis with redis_rate. Its script keeps one timestamp under
// one key: the time at which the bucket will be full again.
type gcraCounts struct {
	sender   *sender.Sender
	limiter  *redis_rate.Limiter
	policy   Policy
	sibling  string        // the kind of the key
	interval float64       // between two tokens, in seconds
	fillTime time.Duration // to fill the empty bucket, exact to the microsecond
}

// tick is the unit of all times that are passed to redis_rate, in seconds. Its script
// adds and subtracts times as 64-bit floats, in seconds since 2017. Until 2051, such
// floats are exact for multiples of 2^-23 s. So an interval that is a multiple of it is
// added without rounding, and the numbers of redis_rate are exact. With other intervals
// it admitted 99 requests of 100, and reported 98 as remaining after the first.
const tick = 1.0 / (1 << 23)

func newGCRACounts(rdb redis.UniversalClient, s *sender.Sender, p Policy) *gcraCounts {
	interval := math.Ceil(p.per.Seconds()/float64(p.n)/tick) * tick // rounded up: never faster than the policy
	g := &gcraCounts{
		sender:   s,
		policy:   p,
		sibling:  p.siblingKind(),
		interval: interval,
		fillTime: roundUp(seconds(interval * float64(p.burst))),
	}
	g.limiter = redis_rate.NewLimiter(sender.Scripter{UniversalClient: rdb, Send: g.send})
	return g
}

// send sends a script of redis_rate, with its one key and its arguments burst, rate,
// period and n.
func (g *gcraCounts) send(ctx context.Context, call sender.Call) *redis.Cmd {
	burst, rate, n := call.Args[0], call.Args[1], call.Args[3]
	// redis_rate adds a prefix to every key, and its periods are whole nanoseconds.
	call.Keys = []string{strings.TrimPrefix(call.Keys[0], "rate:")}
	call.Args = []any{burst, rate, g.interval, n}
	cmd := g.sender.Run(ctx, classOf(n), call)
	if cmd.Err() == nil {
		cmd.SetErr(checkGCRA(cmd.Val()))
	}
	return cmd
}

func (g *gcraCounts) keys(key string) []string { return []string{keys.Sibling(g.sibling, key)} }

func (g *gcraCounts) decide(ctx context.Context, key string, n int) (decision, error) {
	key = keys.Sibling(g.sibling, key)
	limit := redis_rate.Limit{Rate: 1, Burst: g.policy.burst} // send sets the period
	got, err := g.limiter.AllowN(ctx, key, limit, n)
	if err != nil {
		return decision{}, asNotCounter(err)
	}
	d := decision{Result: Result{
		Allowed:    got.Allowed > 0,
		Policy:     g.policy,
		Limit:      g.policy.burst,
		Remaining:  got.Remaining,
		ResetAfter: roundUp(got.ResetAfter),
	}}
	if d.ResetAfter > g.fillTime {
		if err := g.rewind(ctx, key); err != nil {
			return decision{}, err
		}
		d.ResetAfter, d.repaired = g.fillTime, 1
	}
	if n == 0 {
		d.Allowed = d.Remaining > 0
	}
	if !d.Allowed {
		// redis_rate returns 0, though up to n-1 may remain.
		d.Remaining = int(float64(g.policy.burst) - (d.ResetAfter-2*time.Microsecond).Seconds()/g.interval)
		// The request is allowed once ResetAfter has fallen to this.
		enough := seconds(g.interval * float64(g.policy.burst-max(n, 1)))
		d.RetryAfter = roundUp(d.ResetAfter - enough)
	}
	return d, nil
}

// rewind repairs a timestamp that is ahead of the clock of Redis.
func (g *gcraCounts) rewind(ctx context.Context, key string) error {
	return g.sender.Run(ctx, sender.Repeatable, sender.Call{
		Script: rewindScript,
		Keys:   []string{key},
		Args:   []any{g.interval * float64(g.policy.burst)},
	}).Err()
}

// seconds returns s as a Duration, cut to the nanosecond.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// roundUp rounds d up to a microsecond, the resolution of Redis's clock.
func roundUp(d time.Duration) time.Duration {
	return (d + time.Microsecond - 1).Truncate(time.Microsecond)
}

// checkGCRA returns what is wrong with a reply of redis_rate's script, at which
// redis_rate itself would panic, or which it would misread. The reply must be {allowed,
// remaining, "seconds until retry", "seconds until reset"}, else it is sender.ErrReply.
// Times that no step of a clock explains are ErrNotCounter: the key held a number that
// the script has never written.
func checkGCRA(reply any) error {
	parts, _ := reply.([]any)
	if len(parts) != 4 {
		return sender.ErrReply
	}
	for i, text := range parts[2:] {
		text, ok := text.(string)
		if !ok {
			return sender.ErrReply
		}
		s, err := strconv.ParseFloat(strings.TrimPrefix(text, "-"), 64) // Lua writes -nan
		switch {
		case err != nil:
			return sender.ErrReply
		case !(s <= maxSeconds), i == 1 && text[0] == '-': // also if s is NaN; only retry may be -1
			return ErrNotCounter
		}
	}
	for _, n := range parts[:2] {
		if n, ok := n.(int64); !ok || impossible(n) {
			return sender.ErrReply
		}
	}
	return nil
}

// maxSeconds is 100 years: no clock steps back by more, and a Duration can hold it.
const maxSeconds = 100 * 366 * 24 * 3600
