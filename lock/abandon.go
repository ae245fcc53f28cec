package lock

import (
	"context"
	_ "embed"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/script"
)

//go:embed release.lua
var releaseLua string

var releaseScript = script.New(releaseLua)

// maxSweepers bounds how many abandoned requests are looked after at a time.
// In an outage there may be any number; the TTL ends what the others took.
const maxSweepers = 64

// abandon gives back, in the background, what a request that was sent after
// start took or may yet take, without our holding it. The request was sent
// once, so it is settled as soon as its lock has been deleted. Until then it
// may still be on its way, in a socket of a server that stands still or on a
// network that is just healing: it is looked for again until a TTL has passed.
func (k *Locker) abandon(ctx context.Context, key, token string, start instant) {
	k.stats.abandoned.Add(1)
	ctx = context.WithoutCancel(ctx)
	select {
	case k.sweepers <- struct{}{}:
	default:
		return
	}
	if !k.begin() {
		defer func() { <-k.sweepers }()
		k.sweep(ctx, key, token) // nobody would wait for a goroutine
		return
	}
	go func() {
		defer k.running.Done()
		defer func() { <-k.sweepers }()
		for !k.sweep(ctx, key, token) && k.clock().since(start) < k.cfg.validFor() && k.life.Err() == nil {
			pause(k.life, k.cfg.renewEvery())
		}
	}()
}

// sweep deletes the lock that a request took. False means that there was none
// yet, or that Redis did not say.
func (k *Locker) sweep(ctx context.Context, key, token string) bool {
	ctx, cancel := context.WithTimeout(ctx, detachedTimeout)
	defer cancel()
	deleted, err := script.Run(ctx, k.rdb, script.Once, script.Call{
		Script: releaseScript,
		Keys:   []string{key},
		Args:   []any{token},
	})[0].Int()
	if err != nil || deleted == 0 {
		return false
	}
	_ = k.rdb.Publish(ctx, keys.Sibling(kindReleased, key), "").Err() // else waiters poll
	return true
}

// passing says whether waiting may mend err.
func passing(err error) bool {
	var reply redis.Error
	switch {
	case errors.Is(err, ErrHeld), errors.Is(err, ErrLate):
		return true
	case errors.Is(err, ErrClosed), errors.Is(err, ErrReplicas), errors.Is(err, redis.ErrClosed):
		return false
	case errors.As(err, &reply):
		return slices.ContainsFunc(passingReplies, func(prefix string) bool {
			return redis.HasErrorPrefix(reply, prefix)
		})
	}
	return true
}

// passingReplies are those of a server that starts, was demoted or is busy, and
// of a Cluster that is changing.
var passingReplies = []string{
	"LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "BUSY", "max number of clients",
	"CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK",
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
