package breaker

import (
	"context"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/attach"
	"github.com/convkit/rediskit/internal/redact"
)

// ErrOverloaded is the error of a call that was refused because too many others were
// under way. The call was not sent.
var ErrOverloaded = redact.New("rediskit: too many calls wait for Redis: refused without asking; find out why it is slow, or raise Config.MaxWaiting")

// A Bulkhead bounds the calls of one client that are under way, to all of its nodes
// together. A Redis that is slow but not dead then cannot collect the goroutines of a
// service without end: the breaker stays closed while any call is answered in time.
//
// A call is counted from the breaker's hook, or from the queue in which it waits for a
// pipeline, until it ends. A nil Bulkhead has no bound.
type Bulkhead struct {
	limit    int64
	underWay atomic.Int64
	refused  atomic.Uint64
}

// Limit returns how many calls may be under way.
func (b *Bulkhead) Limit() uint64 { return uint64(b.limit) }

// UnderWay returns how many calls are under way.
func (b *Bulkhead) UnderWay() uint64 { return uint64(b.underWay.Load()) }

// Refused returns how many calls were refused so far.
func (b *Bulkhead) Refused() uint64 { return b.refused.Load() }

// Enter counts a call that is going to wait, or returns ErrOverloaded.
func (b *Bulkhead) Enter(ctx context.Context) error {
	if b == nil || b.underWay.Add(1) <= b.limit || bypassed(ctx) {
		return nil
	}
	return b.refuse()
}

// enter is Enter for a command that the hook sees. Some of what passes the hook belongs
// to calls that were counted before: it is never refused.
func (b *Bulkhead) enter(ctx context.Context, cmd redis.Cmder) error {
	if b == nil || b.underWay.Add(1) <= b.limit ||
		bypassed(ctx) || ctx.Value(countedKey{}) != nil || handshake(cmd) || asksForTheMap(cmd) {
		return nil
	}
	return b.refuse()
}

func (b *Bulkhead) refuse() error {
	b.underWay.Add(-1)
	b.refused.Add(1)
	return ErrOverloaded
}

// Leave counts n calls as ended.
func (b *Bulkhead) Leave(n int) {
	if b != nil {
		b.underWay.Add(-int64(n))
	}
}

// asksForTheMap recognises what go-redis's Cluster client asks before it can send the
// command of a caller.
func asksForTheMap(cmd redis.Cmder) bool {
	switch cmd.Name() {
	case "cluster", "command":
		return true
	}
	return false
}

type countedKey struct{}

// Counted returns a context for a pipeline whose calls have entered already.
func Counted(ctx context.Context) context.Context {
	return context.WithValue(ctx, countedKey{}, true)
}

// BulkheadOf returns the Bulkhead that Guard gave to rdb, or nil if there is none. It
// sends nothing.
func BulkheadOf(rdb redis.UniversalClient) *Bulkhead {
	b, _ := attach.Of[*Bulkhead](rdb)
	return b
}
