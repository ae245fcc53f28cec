package subscriber

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/convkit/rediskit/internal/sender"
)

// A target chooses the server of each connection.
type target struct {
	rdb  redis.UniversalClient
	last string // the address of the last server
}

func newTarget(rdb redis.UniversalClient) (target, error) {
	switch rdb.(type) {
	case *redis.Client, *redis.ClusterClient:
		return target{rdb: rdb}, nil
	default:
		return target{}, fmt.Errorf("cannot subscribe with a %T; use a *redis.Client or a *redis.ClusterClient", rdb)
	}
}

// options returns options for a client of the next server; the caller may change
// them. Its error is redis.ErrClosed once the target's client is closed.
//
// With Sentinel, the dialer in the options asks for the primary.
func (t *target) options(ctx context.Context) (*redis.Options, error) {
	primary, err := t.pick(ctx)
	if err != nil {
		return nil, err
	}
	t.last = primary.Options().Addr
	return optionsOf(primary), nil
}

// pick returns a primary at random, but the last one only if there is no other.
func (t *target) pick(ctx context.Context) (*redis.Client, error) {
	var others []*redis.Client
	var last *redis.Client
	closed := false
	for node, err := range sender.Primaries(ctx, t.rdb) {
		if err != nil {
			return nil, err
		}
		primary := node.(*redis.Client)
		switch {
		case sender.IsClosed(primary):
			closed = true
		case primary.Options().Addr == t.last:
			last = primary
		default:
			others = append(others, primary)
		}
	}
	switch {
	case len(others) > 0:
		return others[rand.IntN(len(others))], nil
	case last != nil:
		return last, nil
	case closed: // a closed ClusterClient still knows its nodes, which are all closed
		return nil, redis.ErrClosed
	}
	return nil, sender.ErrNoPrimary
}

// optionsOf copies rdb's options for a client that has one connection and never sends
// anything twice.
func optionsOf(rdb *redis.Client) *redis.Options {
	o := *rdb.Options()
	o.MaxRetries = -1
	o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns, o.MaxConcurrentDials = 1, 0, 0, 0, 0
	o.PipelinePoolSize = -1
	o.Limiter = nil // it admits commands of a pool, and there are none
	o.ClientSideCache, o.ClientSideCacheConfig = nil, nil
	o.PushNotificationProcessor = nil // rdb's own; a client makes one
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &o
}
