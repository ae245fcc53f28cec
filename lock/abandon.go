package lock

import (
	"context"
	_ "embed"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/sender"
)

//go:embed release.lua
var releaseLua string

var releaseScript = sender.NewScript(releaseLua)

// maxCleanups bounds how many abandoned requests are cleaned up at a time: those of two full
// pipelines. In an outage there may be any number; the TTL ends the locks that the others
// took.
const maxCleanups = 1024

// abandon gives back, in the background, a lock that a request, sent after start, took or
// may yet take, and that we do not hold. The request was sent once, so all is done once its
// lock has been deleted. Until then it may still be on its way, in a socket of a server that
// is paused or on a network that comes back. So it is looked for again until a TTL has
// passed.
func (k *Locker) abandon(ctx context.Context, key, value string, start instant) {
	k.stats.abandoned.Add(1)
	ctx = context.WithoutCancel(ctx)
	select {
	case k.cleanups <- struct{}{}:
	default:
		return
	}
	started := k.life.Go(ctx, func(closing context.Context) {
		defer func() { <-k.cleanups }()
		for !k.cleanUp(ctx, key, value) && k.clock().since(start) < k.cfg.validFor() && closing.Err() == nil {
			life.Sleep(closing, k.cfg.renewEvery())
		}
	})
	if !started { // Close would not wait for a goroutine
		defer func() { <-k.cleanups }()
		k.cleanUp(ctx, key, value)
	}
}

// cleanUp deletes the lock that a request took. It returns false if there was none yet, or
// if Redis did not answer.
func (k *Locker) cleanUp(ctx context.Context, key, value string) bool {
	ctx, cancel := context.WithTimeout(ctx, detachedTimeout)
	defer cancel()
	cmd := k.sender.Run(ctx, sender.Keep, releaseCall(key, value))
	return cmd.Err() == nil && cmd.Val() != int64(0)
}

// releaseCall gives back the lock that a request took, whose value it is.
func releaseCall(key, value string) sender.Call {
	return sender.Call{
		Script: releaseScript,
		Keys:   []string{key},
		Args:   []any{value, keys.Sibling(kindReleased, key)},
	}
}
