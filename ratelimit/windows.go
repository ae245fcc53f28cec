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
	args     []any    // of the script, for n = 1
}

func newWindowCounts(s *sender.Sender, policies []Policy) *windowCounts {
	w := &windowCounts{sender: s, script: chargeScript, policies: policies, args: []any{1}}
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
		w.script, w.args = fixedScript, slices.Delete(w.args, 1, 2) // this script has no argument for the kind
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
	args := w.args
	if n != 1 {
		args = append([]any{n}, w.args[1:]...)
	}
	cmd := w.sender.Run(ctx, classOf(n), sender.Call{Script: w.script, Keys: w.keys(key), Args: args})
	reply, err := cmd.Int64Slice()
	if err != nil {
		return decision{}, asNotCounter(err)
	}
	if len(reply) != 2+3*len(w.policies) || slices.ContainsFunc(reply, impossible) {
		return decision{}, sender.ErrReply
	}
	d := decision{repaired: reply[1]}
	for i, p := range w.policies {
		numbers := reply[2+3*i:]
		res := Result{
			Allowed:    reply[0] == 1,
			Policy:     p,
			Limit:      p.n,
			Remaining:  int(numbers[0]),
			RetryAfter: time.Duration(numbers[1]) * time.Microsecond,
			ResetAfter: time.Duration(numbers[2]) * time.Microsecond,
		}
		if i == 0 {
			d.Result = res
		} else {
			d.Result = binding(d.Result, res)
		}
	}
	return d, nil
}

// classOf returns how a script that charges n is delivered. Only one that charges nothing
// may run twice.
func classOf(n any) sender.Class {
	if n == 0 {
		return sender.Read
	}
	return sender.Charge
}

// impossible reports whether n is neither a count nor a time that a script returns.
func impossible(n int64) bool { return n < 0 || n > math.MaxInt64/int64(time.Microsecond) }

// asNotCounter returns ErrNotCounter if err is the reply of Redis for a key that holds
// something other than a count, else err. The key has the wrong type, or it holds text
// that redis_rate's script cannot read as a number.
func asNotCounter(err error) error {
	if text := err.Error(); strings.Contains(text, "WRONGTYPE") || strings.Contains(text, "number expected") {
		return ErrNotCounter
	}
	return err
}
