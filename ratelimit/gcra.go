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
	"github.com/convkit/rediskit/internal/script"
)

//go:embed rewind.lua
var rewindSource string

var rewindScript = script.New(rewindSource)

// A bucket counts GCRA by redis_rate, whose script keeps under one key the
// time at which all that was charged will have been paid off.
type bucket struct {
	rdb      redis.UniversalClient
	policy   Policy
	sibling  string // the kind of its key
	limiter  *redis_rate.Limiter
	interval float64       // between two tokens, in seconds
	full     time.Duration // to fill it, exact to the microsecond
}

// tick is the unit of all numbers that redis_rate is given. Its script adds
// and subtracts times as 64-bit floats, in seconds since 2017; these are whole
// numbers of 2^-23 s or finer until 2051. So an interval that is a multiple of
// it is added without rounding, and what redis_rate says is exact. With other
// intervals it admitted 99 of 100, and said 98 remaining after the first.
const tick = 1.0 / (1 << 23)

func newBucket(rdb redis.UniversalClient, charges *script.Runner, p Policy) *bucket {
	interval := math.Ceil(p.per.Seconds()/float64(p.n)/tick) * tick // up: never faster than asked
	return &bucket{
		rdb:      rdb,
		policy:   p,
		sibling:  p.sibling(),
		limiter:  redis_rate.NewLimiter(bridge{rdb, charges, interval}),
		interval: interval,
		full:     micros(seconds(interval * float64(p.burst))),
	}
}

func (b *bucket) keys(key string) []string { return []string{keys.Sibling(b.sibling, key)} }

func (b *bucket) ask(ctx context.Context, key string, n int) (answer, error) {
	key = keys.Sibling(b.sibling, key)
	limit := redis_rate.Limit{Rate: 1, Burst: b.policy.burst} // its Period is the bridge's
	got, err := b.limiter.AllowN(ctx, key, limit, n)
	if err != nil {
		return answer{}, notCounter(err)
	}
	a := answer{Result: Result{
		Allowed:    got.Allowed > 0,
		Policy:     b.policy,
		Limit:      b.policy.burst,
		Remaining:  got.Remaining,
		ResetAfter: micros(got.ResetAfter),
	}}
	if a.ResetAfter > b.full {
		err := script.Run(ctx, b.rdb, script.Retried, script.Call{
			Script: rewindScript,
			Keys:   []string{key},
			Args:   []any{b.interval * float64(b.policy.burst)},
		})[0].Err()
		if err != nil {
			return answer{}, err
		}
		a.ResetAfter, a.repaired = b.full, 1
	}
	if n == 0 {
		a.Allowed = a.Remaining > 0
	}
	if !a.Allowed {
		// redis_rate says 0, though less than n may remain.
		a.Remaining = int(float64(b.policy.burst) - (a.ResetAfter-2*time.Microsecond).Seconds()/b.interval)
		// Enough has been paid off once what is owed has fallen to this.
		owed := seconds(b.interval * float64(b.policy.burst-max(n, 1)))
		a.RetryAfter = micros(a.ResetAfter - owed)
	}
	return a, nil
}

// seconds is s as a Duration, cut to the nanosecond.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// micros is d, rounded up to what Redis's clock can tell apart.
func micros(d time.Duration) time.Duration {
	return (d + time.Microsecond - 1).Truncate(time.Microsecond)
}

// A bridge is the client that redis_rate sees. It keeps redis_rate's keys
// where the caller's are, its numbers exact and its charges single.
type bridge struct {
	redis.UniversalClient
	charges  *script.Runner
	interval float64
}

// EvalSha sends a script by its digest.
func (b bridge) EvalSha(ctx context.Context, digest string, keys []string, args ...any) *redis.Cmd {
	return b.send(ctx, script.Known(digest), keys, args)
}

// Eval sends a script that was unknown by its digest.
func (b bridge) Eval(ctx context.Context, source string, keys []string, args ...any) *redis.Cmd {
	return b.send(ctx, script.New(source), keys, args)
}

// send takes what redis_rate sends: one key, and burst, rate, period, n.
func (b bridge) send(ctx context.Context, s *script.Script, keys []string, args []any) *redis.Cmd {
	delivery := script.Once
	if args[3] == 0 {
		delivery = script.Retried
	}
	cmd, err := b.charges.Run(ctx, delivery, script.Call{
		Script: s,
		Keys:   []string{strings.TrimPrefix(keys[0], "rate:")}, // it prefixes every key
		Args:   []any{args[0], args[1], b.interval, args[3]},
	})
	if err != nil {
		cmd = redis.NewCmd(ctx)
		cmd.SetErr(err)
	} else if cmd.Err() == nil {
		cmd.SetErr(checkGCRA(cmd.Val()))
	}
	return cmd
}

// checkGCRA says what is wrong with a reply of redis_rate's script, which
// redis_rate itself would panic at or misread: not {allowed, remaining, "seconds until
// retry", "seconds until reset"}, or times that no clock of this age has led
// to, so that the key held a number that was never written there.
func checkGCRA(reply any) error {
	parts, _ := reply.([]any)
	if len(parts) != 4 {
		return script.ErrReply
	}
	for i, text := range parts[2:] {
		text, ok := text.(string)
		if !ok {
			return script.ErrReply
		}
		s, err := strconv.ParseFloat(strings.TrimPrefix(text, "-"), 64) // Lua writes -nan
		switch {
		case err != nil:
			return script.ErrReply
		case !(s <= maxSeconds), i == 1 && text[0] == '-': // NaN too; only retry may be -1
			return ErrNotCounter
		}
	}
	for _, n := range parts[:2] {
		if n, ok := n.(int64); !ok || impossible(n) {
			return script.ErrReply
		}
	}
	return nil
}

// maxSeconds is more than any clock can have stepped back, and far less than a
// Duration holds.
const maxSeconds = 100 * 366 * 24 * 3600
