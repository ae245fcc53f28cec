package lock

import (
	"context"
	_ "embed"
	"errors"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/sender"
)

//go:embed fence.lua
var fenceLua string

var fenceScript = sender.NewScript(fenceLua)

// fenceTTL is how much longer than MaxHold a fence is remembered.
const fenceTTL = 24 * time.Hour

// Fence returns a number that is greater than every fence of every earlier holder of this
// lock. A store that remembers the greatest fence it has seen can refuse a write that comes
// late. Redis mints the number on the first call, only while the lock is held; later calls
// return the same. ErrLost means that none was minted.
//
// The number is max(previous + 1, the server's time in microseconds). So it keeps rising
// if Redis has lost the previous one, unless the server's clock steps back as well. The
// previous one is remembered for a day longer than MaxHold.
//
// One round trip on the first call: a script of GET, TIME and SET PX. On a Cluster, Redis
// refuses it with TRYAGAIN while the lock's slot moves.
func (l *Lock) Fence(ctx context.Context) (int64, error) {
	k := l.locker
	if err := l.check(); err != nil {
		return 0, k.report.Fail("fence", err)
	}
	if fence := l.fence.Load(); fence != 0 {
		return fence, nil
	}
	text, err := k.sender.Run(ctx, sender.Repeatable, sender.Call{ // minting twice skips a number
		Script: fenceScript,
		Keys:   []string{l.key, keys.Sibling(kindFence, l.key)},
		Args:   []any{l.handle.Token() + l.handle.Metadata(), fenceTTL.Milliseconds() + k.cfg.MaxHold.Milliseconds()},
	}).Text()
	switch {
	case errors.Is(err, redis.Nil):
		l.mu.Lock()
		l.lose(errGone)
		l.mu.Unlock()
		return 0, k.report.Fail("fence", errGone)
	case err != nil:
		return 0, k.report.Redis(ctx, "fence", err)
	}
	fence, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, k.report.Redis(ctx, "fence", err)
	}
	l.fence.CompareAndSwap(0, fence) // concurrent calls return the same
	if err := l.check(); err != nil {
		return 0, k.report.Fail("fence", err)
	}
	return l.fence.Load(), nil
}
