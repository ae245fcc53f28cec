package session

import (
	"context"
	"fmt"
	"time"

	"github.com/convkit/rediskit/internal/keys"
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

	// NoPipelining sends each Get by itself. Otherwise the reads of this store
	// share round trips while five or more of them are under way: hooks of the
	// client then see pipelines, with a context of their own. Defaults to false.
	NoPipelining bool

	// Name stands for this store in errors and metrics. Defaults to Key.
	Name string

	// OnError receives the errors that no caller gets: replies that were lost,
	// after which a second copy was answered. It is called on the failure path
	// only, possibly from several goroutines at once, and must not block. Defaults
	// to nil: they are dropped.
	OnError func(context.Context, error)
}

// complete checks c and fills in its defaults.
func (c Config) complete() (Config, keys.Pattern, error) {
	pattern, err := keys.Parse(c.Key)
	switch {
	case err != nil:
		return c, pattern, fmt.Errorf("session: Config.Key %w", err)
	case c.TTL < time.Millisecond:
		return c, pattern, fmt.Errorf("session: Config.TTL is %v; it must be at least 1ms, the shortest time that Redis keeps", c.TTL)
	case c.MaxLifetime != 0 && c.MaxLifetime < c.TTL:
		return c, pattern, fmt.Errorf("session: Config.MaxLifetime is %v; it must not be shorter than the TTL, %v, or 0 for no limit", c.MaxLifetime, c.TTL)
	}
	if c.Name == "" {
		c.Name = c.Key
	}
	return c, pattern, nil
}
