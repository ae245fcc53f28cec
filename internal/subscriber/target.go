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
	home string // on a Cluster: a key of the slot whose primary it is; empty for any
	last string // the address of the last server
}

func newTarget(rdb redis.UniversalClient, home string) (target, error) {
	switch rdb.(type) {
	case *redis.Client:
		return target{rdb: rdb}, nil
	case *redis.ClusterClient:
		return target{rdb: rdb, home: home}, nil
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

// pick returns the primary of home, or without a home one at random, but the last one
// only if there is no other.
func (t *target) pick(ctx context.Context) (*redis.Client, error) {
	var home redis.UniversalClient
	var others []*redis.Client
	var last *redis.Client
	closed := false
	for node, err := range sender.Primaries(ctx, t.rdb) {
		if err != nil {
			return nil, err
		}
		if home == nil && t.home != "" { // after the Cluster's map was read anew
			if home, err = sender.PrimaryOf(ctx, t.rdb, t.home); err != nil {
				return nil, err
			}
		}
		primary := node.(*redis.Client)
		switch {
		case sender.IsClosed(primary):
			closed = true
		case home != nil && node != home:
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

// moved reports whether the primary of home is another one than the last server was. It
// looks at the map that the client has.
func (t *target) moved(ctx context.Context) bool {
	primary, err := sender.PrimaryOf(ctx, t.rdb, t.home)
	return err == nil && primary.(*redis.Client).Options().Addr != t.last
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
