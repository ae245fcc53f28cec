package subscriber

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/convkit/rediskit/internal/breaker"
)

// targetOf returns what finds the server to connect to: the options of a client of
// it, which are the callee's. Its error is redis.ErrClosed once rdb is closed.
func targetOf(rdb redis.UniversalClient) (func(context.Context) (*redis.Options, error), error) {
	switch rdb := rdb.(type) {
	case *redis.Client:
		return func(context.Context) (*redis.Options, error) {
			if isClosed(rdb) {
				return nil, redis.ErrClosed
			}
			// The dialer of a failover client asks the Sentinels for the master.
			return optionsOf(rdb), nil
		}, nil
	case *redis.ClusterClient:
		last := ""
		return func(ctx context.Context) (*redis.Options, error) {
			master, err := pickMaster(ctx, rdb, last)
			if err != nil {
				return nil, err
			}
			last = master.Options().Addr
			return optionsOf(master), nil
		}, nil
	default:
		return nil, fmt.Errorf("cannot subscribe with a %T; use a *redis.Client or a *redis.ClusterClient", rdb)
	}
}

// pickMaster returns any master but the one at not, unless it is the only one.
func pickMaster(ctx context.Context, rdb *redis.ClusterClient, not string) (*redis.Client, error) {
	var (
		mu      sync.Mutex
		masters []*redis.Client
		only    *redis.Client
		closed  bool
	)
	err := rdb.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		if isClosed(master) {
			closed = true
			return nil
		}
		if master.Options().Addr != not {
			masters = append(masters, master)
			return nil
		}
		only = master
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(masters) > 0:
		return masters[rand.IntN(len(masters))], nil
	case only != nil:
		return only, nil
	case closed:
		// A closed ClusterClient still knows its nodes, which are all closed.
		return nil, redis.ErrClosed
	}
	return nil, errNoMaster
}

var errNoMaster = errors.New("the cluster has no master")

// isClosed says whether rdb was closed, without a word to the server: a pool looks
// at whether it is closed before it looks at the context.
func isClosed(rdb *redis.Client) bool {
	ctx, cancel := context.WithCancel(breaker.Bypass(context.Background()))
	cancel()
	return errors.Is(rdb.Ping(ctx).Err(), redis.ErrClosed)
}

// optionsOf copies rdb's options for a client that has one connection and never
// sends anything twice.
func optionsOf(rdb *redis.Client) *redis.Options {
	o := *rdb.Options()
	o.MaxRetries = -1
	o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns, o.MaxConcurrentDials = 1, 0, 0, 0, 0
	o.PipelinePoolSize = -1
	o.Limiter = nil // it admits commands, and there are none
	o.ClientSideCache, o.ClientSideCacheConfig = nil, nil
	o.PushNotificationProcessor = nil // rdb's own; a client makes one
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &o
}
