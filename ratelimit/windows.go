package ratelimit

import (
	"context"
	_ "embed"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/sender"
)

//go:embed charge.lua
var chargeSource string

//go:embed fixed.lua
var fixedSource string

var chargeScript, fixedScript = sender.NewScript(chargeSource), sender.NewScript(fixedSource)

// windowCounts counts fixed and sliding windows in Redis, all those of an id in one
// script.
type windowCounts struct {
	sender   *sender.Sender
	script   *sender.Script
	policies []Policy
	siblings []string // for each policy the kind of its sibling key; "" for the caller's key itself
	args     []any    // of the script, before the costs
}

func newWindowCounts(s *sender.Sender, policies []Policy) *windowCounts {
	w := &windowCounts{sender: s, script: chargeScript, policies: policies}
	taken := false // the caller's key has a policy
	for _, p := range policies {
		sibling, span := p.siblingKind(), p.per.Milliseconds()
		if p.kind == slidingWindow {
			span = p.per.Microseconds() / 10
		} else if !taken {
			sibling, taken = "", true
		}
		w.siblings = append(w.siblings, sibling)
		w.args = append(w.args, string(p.kind), p.n, span)
	}
	if len(policies) == 1 && policies[0].kind == fixedWindow {
		w.script, w.args = fixedScript, w.args[1:] // this script has no argument for the kind
	}
	return w
}

func (w *windowCounts) keys(key string) []string {
	list := make([]string, len(w.siblings))
	for i, kind := range w.siblings {
		list[i] = key
		if kind != "" {
			list[i] = keys.Sibling(kind, key)
		}
	}
	return list
}

func (w *windowCounts) decide(ctx context.Context, key string, n int) (decision, error) {
	numbers, at, err := charge(ctx, w.sender, sender.Call{Script: w.script, Keys: w.keys(key), Args: w.args}, n)
	if err != nil {
		return decision{}, asNotCounter(err)
	}
	if w.script == fixedScript {
		return w.decideFixed(numbers, at)
	}
	size := 1 + 3*len(w.policies) // of the part of each cost
	if len(numbers) < 1+size*(at+1) || (len(numbers)-1)%size != 0 {
		return decision{}, sender.ErrReply
	}
	d := decision{repaired: repairedBy(numbers, at)}
	own := numbers[1+size*at:]
	for i, p := range w.policies {
		res := Result{
			Allowed:    own[0] == 1,
			Policy:     p,
			Limit:      p.n,
			Remaining:  int(own[1+3*i]),
			RetryAfter: time.Duration(own[2+3*i]) * time.Microsecond,
			ResetAfter: time.Duration(own[3+3*i]) * time.Microsecond,
		}
		if i == 0 {
			d.Result = res
		} else {
			d.Result = binding(d.Result, res)
		}
	}
	return d, nil
}

// decideFixed reads the reply of fixed.lua.
func (w *windowCounts) decideFixed(numbers []int64, at int) (decision, error) {
	if len(numbers) < 4+2*at || len(numbers)%2 != 0 {
		return decision{}, sender.ErrReply
	}
	p, own := w.policies[0], numbers[2+2*at:]
	d := decision{repaired: repairedBy(numbers, at), Result: Result{
		Allowed:    own[0] == 1,
		Policy:     p,
		Limit:      p.n,
		Remaining:  int(own[1]),
		ResetAfter: time.Duration(numbers[1]) * time.Microsecond,
	}}
	if !d.Allowed {
		d.RetryAfter = d.ResetAfter
	}
	return d, nil
}

// charge sends a script that takes costs behind its arguments, with the cost n, and returns
// its reply, in which the part of this cost is the one at at. n = 0 charges nothing.
func charge(ctx context.Context, s *sender.Sender, call sender.Call, n int) (numbers []int64, at int, err error) {
	var reply any
	if n == 0 {
		call.Args = append(slices.Clip(call.Args), 0)
		reply, err = s.Run(ctx, sender.Read, call).Result() // it may run twice
	} else {
		reply, at, err = s.Charge(ctx, call, n)
	}
	if err != nil {
		return nil, 0, err
	}
	list, ok := reply.([]any)
	if !ok {
		return nil, 0, sender.ErrReply
	}
	numbers = make([]int64, len(list))
	for i, value := range list {
		if numbers[i], ok = value.(int64); !ok || impossible(numbers[i]) {
			return nil, 0, sender.ErrReply
		}
	}
	return numbers, at, nil
}

// repairedBy returns how many keys a script has repaired. Of the callers that ride in one run
// of it the first one counts them.
func repairedBy(numbers []int64, at int) int64 {
	if at > 0 {
		return 0
	}
	return numbers[0]
}

// impossible reports whether n is neither a count nor a time that a script returns.
func impossible(n int64) bool { return n < 0 || n > math.MaxInt64/int64(time.Microsecond) }

// asNotCounter returns ErrNotCounter if err is the reply of Redis for a key that holds
// something other than a count, else err.
func asNotCounter(err error) error {
	if strings.Contains(err.Error(), "WRONGTYPE") {
		return ErrNotCounter
	}
	return err
}
