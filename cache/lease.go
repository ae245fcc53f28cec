package cache

import (
	"context"
	"crypto/rand"
	_ "embed"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/sender"
)

//go:embed acquire.lua
var acquireLua string

//go:embed fill.lua
var fillLua string

//go:embed absent.lua
var absentLua string

//go:embed release.lua
var releaseLua string

//go:embed set.lua
var setLua string

var (
	acquireScript = sender.NewScript(acquireLua)
	fillScript    = sender.NewScript(fillLua)
	absentScript  = sender.NewScript(absentLua)
	releaseScript = sender.NewScript(releaseLua)
	setScript     = sender.NewScript(setLua)
)

// A lease is how a call stands with the other processes of the fleet: only the call
// that owns the lease of its key may store what it loads.
type lease int

const (
	leaseUnknown lease = iota // Redis did not answer
	leaseHeld                 // another process holds it
	leaseOwned                // this call may fill
)

// leaseTTL is how long a load may hold its lease.
func (f *far) leaseTTL() time.Duration { return f.cfg.LoadTimeout + leaseMargin }

// newToken returns the token of one load: a new one for each, so that no older load can
// fill. It ends in the lease's TTL in milliseconds, for acquire.lua.
func (f *far) newToken() string {
	return rand.Text() + ":" + strconv.FormatInt(f.leaseTTL().Milliseconds(), 10)
}

// acquire asks for the leases of calls, in one round trip. A script is sent once: see
// acquire.lua.
func (f *far) acquire(ctx context.Context, calls []*call) []acquired {
	scripts := make([]sender.Call, len(calls))
	for i, c := range calls {
		scripts[i] = sender.Call{
			Script: acquireScript,
			Keys:   []string{c.key, keys.Sibling(kindLease, c.key)},
			Args:   []any{c.token, f.leaseTTL().Milliseconds(), c.replaces},
		}
	}
	replies := make([]acquired, len(calls))
	for i, cmd := range f.sender.RunMany(ctx, sender.Change, scripts...) {
		replies[i] = readAcquired(cmd)
	}
	return replies
}

// acquired is what acquire.lua returned.
type acquired struct {
	status string
	value  string // with the status "value"
	pttl   int64  // with the status "owned"
	err    error  // instead of all that
}

func readAcquired(cmd *redis.Cmd) (a acquired) {
	reply, err := cmd.Slice()
	if err != nil {
		return acquired{err: err}
	}
	var ok bool
	switch {
	case len(reply) == 1:
		a.status, _ = reply[0].(string)
		ok = a.status == "absent" || a.status == "held"
	case len(reply) == 2 && reply[0] == "value":
		a.status = "value"
		a.value, ok = reply[1].(string)
	case len(reply) == 2 && reply[0] == "owned":
		a.status = "owned"
		a.pttl, ok = reply[1].(int64)
	}
	if !ok {
		return acquired{err: sender.ErrReply}
	}
	return a
}

// fillCall stores data if the lease is still the call's.
func (f *far) fillCall(c *call, data []byte) sender.Call {
	ttl := f.ttl()
	return sender.Call{
		Script: fillScript,
		Keys:   family(c.key),
		Args:   []any{c.token, data, ttl.Milliseconds(), f.staleMillis(ttl), c.replaces, c.pttl},
	}
}

// absentCall remembers that there is no value, if the lease is still the call's.
func (f *far) absentCall(c *call) sender.Call {
	return sender.Call{
		Script: absentScript,
		Keys:   family(c.key),
		Args:   []any{c.token, f.cfg.NegativeTTL.Milliseconds(), c.replaces, c.pttl},
	}
}

// releaseCall gives the lease back, if it is still the call's.
func (f *far) releaseCall(c *call) sender.Call {
	return sender.Call{
		Script: releaseScript,
		Keys:   []string{keys.Sibling(kindLease, c.key)},
		Args:   []any{c.token},
	}
}

// release gives back the leases that calls may still have. If it fails, their TTL
// ends them.
func (f *far) release(ctx context.Context, calls []*call) {
	scripts := make([]sender.Call, len(calls))
	for i, c := range calls {
		scripts[i] = f.releaseCall(c)
	}
	f.sender.RunMany(ctx, sender.Repeatable, scripts...)
}
