package sender

import (
	"context"
	"errors"
	"iter"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/redact"
)

// ErrNoMap is the error of a Cluster client that could not read which node has which
// slots. go-redis returns redis.Nil then, which would pass for a missing key.
var ErrNoMap = redact.New("the Cluster does not tell the hosts of its nodes (cluster-preferred-endpoint-type unknown-endpoint): use a client of rediskit.Connect, or let the Cluster announce addresses")

// ErrNoPrimary is the error of a Cluster without a primary.
var ErrNoPrimary = redact.New("no node of the Cluster has slots yet: assign them (redis-cli --cluster create, or fix)")

// routing returns an error of go-redis's routing as what it means. No reply to a
// command is among such errors.
func routing(err error) error {
	if errors.Is(err, redis.Nil) {
		return ErrNoMap
	}
	return err
}

// Primaries returns the clients of all primaries that rdb knows: of a Cluster each
// node that owns slots, else rdb itself. An error is the last element, in place of
// all clients: the Cluster does not say which nodes it has, or none has slots.
//
// On a Cluster it asks a node for CLUSTER SLOTS first, unless that was done within
// the last seconds.
func Primaries(ctx context.Context, rdb redis.UniversalClient) iter.Seq2[redis.UniversalClient, error] {
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return nodes(ctx, cluster.ForEachMaster)
	}
	return alone(rdb)
}

// Nodes is Primaries with the replicas of a Cluster.
func Nodes(ctx context.Context, rdb redis.UniversalClient) iter.Seq2[redis.UniversalClient, error] {
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		return nodes(ctx, cluster.ForEachShard)
	}
	return alone(rdb)
}

// PrimaryOf returns a client of the primary that owns key's slot: on a Cluster that
// node's own, else rdb itself.
func PrimaryOf(ctx context.Context, rdb redis.UniversalClient, key string) (redis.UniversalClient, error) {
	if cluster, ok := rdb.(*redis.ClusterClient); ok {
		primary, err := cluster.MasterForKey(ctx, key)
		if err != nil {
			return nil, routing(err) // and no nil *redis.Client
		}
		return primary, nil
	}
	return rdb, nil
}

// IsClosed reports whether rdb was closed, and sends nothing: a pool looks at whether
// it is closed before it looks at the context, which has ended.
func IsClosed(rdb *redis.Client) bool {
	ctx, cancel := context.WithCancel(breaker.Bypass(context.Background()))
	cancel()
	return errors.Is(rdb.Ping(ctx).Err(), redis.ErrClosed)
}

func alone(rdb redis.UniversalClient) iter.Seq2[redis.UniversalClient, error] {
	return func(yield func(redis.UniversalClient, error) bool) { yield(rdb, nil) }
}

// forEach is go-redis's, which calls visit for all nodes at once.
type forEach = func(ctx context.Context, visit func(context.Context, *redis.Client) error) error

func nodes(ctx context.Context, each forEach) iter.Seq2[redis.UniversalClient, error] {
	return func(yield func(redis.UniversalClient, error) bool) {
		var mu sync.Mutex
		var found []*redis.Client
		err := each(ctx, func(_ context.Context, node *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			found = append(found, node)
			return nil
		})
		if err == nil && len(found) == 0 {
			err = ErrNoPrimary
		}
		if err != nil {
			yield(nil, routing(err))
			return
		}
		for _, node := range found {
			if !yield(node, nil) {
				return
			}
		}
	}
}
