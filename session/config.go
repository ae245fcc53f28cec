package session

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/sender"
)

// Config says where a Store keeps sessions and for how long. Key and TTL have
// no default; every other field may stay zero.
type Config struct {
	// Key is the pattern of the sessions' keys: text with one '*', which the
	// id replaces, such as "session:*". Required.
	Key string

	// TTL is how long a session exists after the last Create, Put, Touch, Update
	// or transition, at least 1 ms. Required: sessions without an end would fill
	// the server.
	TTL time.Duration

	// MaxLifetime is how long a session exists at most, however active it is; not
	// shorter than TTL. Its end is kept in the hash, in the field _until, in Unix
	// milliseconds. A session that a service without this setting made gets its
	// _until at the first change. Defaults to 0, no limit.
	MaxLifetime time.Duration

	// Replicas makes a change count only once that many replicas have it. Otherwise it
	// is an ErrUnreplicated. Defaults to none.
	Replicas Replicas

	// NoPipelining sends each Get and each change by itself. Otherwise the reads of
	// this store share round trips while five or more of them are under way, and so
	// do its changes: hooks of the client then see pipelines, with a context of
	// their own. Changes that wait for Replicas never share. Defaults to false.
	NoPipelining bool

	// Name stands for this store in errors and metrics. Defaults to Key.
	Name string

	// OnError receives the errors that no caller gets: replies that were lost,
	// after which a second copy was answered. It is called on the failure path
	// only, possibly from several goroutines at once, and must not block. Defaults
	// to nil: they are dropped.
	OnError func(context.Context, error)
}

// Replicas says how many replicas must acknowledge a change. It makes it less likely that
// a failover loses one, but not impossible; see the package's documentation.
type Replicas struct {
	// N is the number of replicas, 0 or more. With fewer than can be promoted, a failover
	// may still choose one that lacks the change. Defaults to 0, none.
	N int

	// Timeout is how long they may take: at least 1 ms, and less than the client's
	// ReadTimeout. While too few replicas follow, each change takes that long, and holds
	// a connection of the client's pool. Redis may end the wait up to 100 ms late.
	// Defaults to 100 ms.
	Timeout time.Duration

	// SkipTouch makes Touch return without waiting for replicas. A failover may then lose
	// the latest stamp of the last activity, and the TTL that came with it. Defaults to
	// false.
	SkipTouch bool
}

const defaultReplicasTimeout = 100 * time.Millisecond

// complete checks c and fills in its defaults.
func (c Config) complete(rdb redis.UniversalClient) (Config, keys.Pattern, error) {
	pattern, err := keys.Parse(c.Key)
	switch {
	case err != nil:
		return c, pattern, fmt.Errorf("session: Config.Key %w", err)
	case c.TTL < time.Millisecond:
		return c, pattern, fmt.Errorf("session: Config.TTL is %v; it must be at least 1ms, the shortest time that Redis keeps", c.TTL)
	case c.MaxLifetime != 0 && c.MaxLifetime < c.TTL:
		return c, pattern, fmt.Errorf("session: Config.MaxLifetime is %v; it must not be shorter than the TTL, %v, or 0 for no limit", c.MaxLifetime, c.TTL)
	}
	replicas, err := c.replicas().Complete("session", rdb, defaultReplicasTimeout)
	if err != nil {
		return c, pattern, err
	}
	c.Replicas.Timeout = replicas.Timeout
	if c.Name == "" {
		c.Name = c.Key
	}
	return c, pattern, nil
}

func (c Config) replicas() sender.Replicas {
	return sender.Replicas{N: c.Replicas.N, Timeout: c.Replicas.Timeout}
}
