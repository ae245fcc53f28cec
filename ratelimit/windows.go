package ratelimit

import (
	"context"
	_ "embed"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/script"
)

//go:embed charge.lua
var chargeSource string

//go:embed fixed.lua
var fixedSource string

var chargeScript, fixedScript = script.New(chargeSource), script.New(fixedSource)

// windows counts fixed and sliding windows, all of an id in one script.
type windows struct {
	charges  *script.Runner
	script   *script.Script
	policies []Policy
	siblings []string // the kind of each policy's key; "" is the caller's key itself
	args     []any    // of the script, for n = 1
}

func newWindows(charges *script.Runner, policies []Policy) *windows {
	w := &windows{charges: charges, script: chargeScript, policies: policies, args: []any{1}}
	owned := false // the caller's key
	for _, p := range policies {
		sibling, span := p.sibling(), p.per.Milliseconds()
		if p.kind == slidingWindow {
			span = p.per.Microseconds() / 10
		} else if !owned {
			sibling, owned = "", true
		}
		w.siblings = append(w.siblings, sibling)
		w.args = append(w.args, string(p.kind), p.n, span)
	}
	if len(policies) == 1 && policies[0].kind == fixedWindow {
		w.script, w.args = fixedScript, slices.Delete(w.args, 1, 2) // its kind
	}
	return w
}

func (w *windows) keys(key string) []string {
	list := make([]string, len(w.siblings))
	for i, kind := range w.siblings {
		list[i] = key
		if kind != "" {
			list[i] = keys.Sibling(kind, key)
		}
	}
	return list
}

func (w *windows) ask(ctx context.Context, key string, n int) (answer, error) {
	args, delivery := w.args, script.Once
	if n != 1 {
		args = append([]any{n}, w.args[1:]...)
	}
	if n == 0 {
		delivery = script.Retried
	}
	call := script.Call{Script: w.script, Keys: w.keys(key), Args: args}
	cmd, err := w.charges.Run(ctx, delivery, call)
	if err != nil {
		return answer{}, err
	}
	reply, err := cmd.Int64Slice()
	if err != nil {
		return answer{}, notCounter(err)
	}
	if len(reply) != 2+3*len(w.policies) || slices.ContainsFunc(reply, impossible) {
		return answer{}, script.ErrReply
	}
	a := answer{repaired: reply[1]}
	for i, p := range w.policies {
		of := reply[2+3*i:]
		res := Result{
			Allowed:    reply[0] == 1,
			Policy:     p,
			Limit:      p.n,
			Remaining:  int(of[0]),
			RetryAfter: time.Duration(of[1]) * time.Microsecond,
			ResetAfter: time.Duration(of[2]) * time.Microsecond,
		}
		if i == 0 {
			a.Result = res
		} else {
			a.Result = binds(a.Result, res)
		}
	}
	return a, nil
}

// impossible says whether n is neither a count nor a time of the script's.
func impossible(n int64) bool { return n < 0 || n > math.MaxInt64/int64(time.Microsecond) }

// notCounter is ErrNotCounter if err is what Redis says of a key that holds
// something else than a count: by the wrong type, or by text that is no
// number to redis_rate's script.
func notCounter(err error) error {
	if text := err.Error(); strings.Contains(text, "WRONGTYPE") || strings.Contains(text, "number expected") {
		return ErrNotCounter
	}
	return err
}
