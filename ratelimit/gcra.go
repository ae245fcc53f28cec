package ratelimit

import (
	"context"
	_ "embed"
	"math"
	"time"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/sender"
)

//go:embed gcra.lua
var gcraSource string

var gcraScript = sender.NewScript(gcraSource)

// gcraCounts counts GCRA in Redis: one timestamp under one key, the time at which the bucket
// will be full again.
type gcraCounts struct {
	sender  *sender.Sender
	policy  Policy
	sibling string // the kind of the key
	args    []any  // of the script, before the costs
}

// tick is the unit of the interval between two tokens, in seconds. The script adds and
// subtracts times as 64-bit floats, in seconds since 2017, as redis_rate does. Until 2051,
// such floats are exact for multiples of 2^-23 s. So an interval that is a multiple of it is
// added without rounding, and all numbers are exact. With other intervals redis_rate admitted
// 99 requests of 100, and reported 98 as remaining after the first.
const tick = 1.0 / (1 << 23)

func newGCRACounts(s *sender.Sender, p Policy) *gcraCounts {
	interval := math.Ceil(p.per.Seconds()/float64(p.n)/tick) * tick // rounded up: never faster than the policy
	return &gcraCounts{sender: s, policy: p, sibling: p.siblingKind(), args: []any{p.burst, interval}}
}

func (g *gcraCounts) keys(key string) []string { return []string{keys.Sibling(g.sibling, key)} }

func (g *gcraCounts) decide(ctx context.Context, key string, n int) (decision, error) {
	numbers, at, err := charge(ctx, g.sender, sender.Call{Script: gcraScript, Keys: g.keys(key), Args: g.args}, n)
	if err != nil {
		return decision{}, asNotCounter(err)
	}
	if len(numbers) < 5+4*at || len(numbers)%4 != 1 {
		return decision{}, sender.ErrReply
	}
	own := numbers[1+4*at:]
	return decision{repaired: repairedBy(numbers, at), Result: Result{
		Allowed:    own[0] == 1,
		Policy:     g.policy,
		Limit:      g.policy.burst,
		Remaining:  int(own[1]),
		RetryAfter: time.Duration(own[2]) * time.Microsecond,
		ResetAfter: time.Duration(own[3]) * time.Microsecond,
	}}, nil
}
