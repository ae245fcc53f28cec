package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/convkit/rediskit/internal/keys"
)

// Config says what a Cache stores and for how long. Key and TTL have no
// default; every other field may stay zero.
type Config struct {
	// Key is the pattern of the cache's keys: text with one '*', which the
	// id replaces, such as "conversations:*:list". Required.
	Key string

	// TTL is how long a value stays in Redis, at least 1 ms. Required: values
	// without an end would fill the server.
	TTL time.Duration

	// Jitter shortens each TTL by a random part of up to this fraction, from 0
	// to 0.9. Values that were stored together then do not expire together. It
	// never lengthens a TTL. Defaults to 0, no jitter.
	Jitter float64

	// LoadTimeout bounds one run of a loader, whichever callers still wait
	// for it; at least 1 ms. The lease of the load lasts one second longer.
	// Defaults to 5 s.
	LoadTimeout time.Duration

	// WaitTimeout is how long a miss waits for another process that is loading
	// the value; at least 1 ms. After that the caller's loader runs too, and its
	// value is returned without being stored. Defaults to LoadTimeout.
	WaitTimeout time.Duration

	// NegativeTTL is how long Redis remembers a loader's ErrNotFound, at least
	// 1 ms, so that ids that do not exist do not reach the loader each time.
	// Defaults to 0, not at all.
	NegativeTTL time.Duration

	// RefreshAhead makes one process of the fleet load a value again, in the
	// background, when a GetOrLoad hits it and its TTL is shorter than this. It
	// is at least 1 ms and shorter than the TTL with all of its jitter. Each hit
	// of GetOrLoad then sends PTTL and GET in one round trip. Defaults to 0, off.
	RefreshAhead time.Duration

	// StaleFor keeps a copy of each value for this long after the value's own
	// TTL, at least 1 ms, and answers from it when the loader fails. Delete
	// deletes the copy too. It doubles the memory in Redis. Defaults to 0, off.
	StaleFor time.Duration

	// MaxValueBytes is the greatest size of a stored value, in encoded bytes, 0 or
	// more. Set refuses a larger one; a larger loaded value is returned without
	// being stored. Defaults to 0, no bound but Redis's own 512 MiB.
	MaxValueBytes int

	// Local keeps values in this process too, where a hit costs no round trip.
	// Defaults to off.
	Local Local

	// Verify checks hits in the background and reports those that were out of date.
	// Defaults to off.
	Verify Verify

	// Codec turns values into the bytes that Redis holds. Defaults to JSON,
	// byte for byte as encoding/json writes it.
	Codec Codec

	// NoPipelining sends each read, set, delete, lease and fill by itself. Otherwise
	// those of one id share round trips, each kind with its like, while five or more
	// of them are under way: hooks of the client then see pipelines, with a context
	// of their own. With Local, only reads of
	// one id on a single server are shared: reads of several ids, and all reads on
	// a Cluster, take a round trip of their own to each primary. Defaults to false.
	NoPipelining bool

	// Name stands for this cache in errors and metrics. Defaults to Key.
	Name string

	// OnError receives the errors that no caller gets: failures of Redis that a
	// loader made good, refused fills, loaders that failed in the background or
	// were covered by a stale copy, lost connections of Local, what Verify finds
	// (*StaleError), panics in the background (print those with %+v for the stack). It is called on the failure
	// path only, possibly from several goroutines at once, and must not block.
	// Defaults to nil: they are dropped.
	OnError func(context.Context, error)
}

const (
	defaultLoadTimeout = 5 * time.Second
	// leaseMargin is how much longer than its load a lease lasts: time for the fill.
	leaseMargin = time.Second
	// detachedTimeout bounds what does not end with its caller: a Delete, and the
	// end of a lease.
	detachedTimeout = 2 * time.Second
)

// complete checks c and fills in its defaults.
func (c Config) complete() (Config, keys.Pattern, error) {
	pattern, err := keys.Parse(c.Key)
	if err != nil {
		return c, pattern, fmt.Errorf("cache: Config.Key %w", err)
	}
	if c.TTL < time.Millisecond {
		return c, pattern, fmt.Errorf("cache: Config.TTL is %v; it must be at least 1ms, the shortest time that Redis keeps", c.TTL)
	}
	if !(c.Jitter >= 0 && c.Jitter <= 0.9) {
		return c, pattern, fmt.Errorf("cache: Config.Jitter is %v; it must be a fraction from 0 to 0.9", c.Jitter)
	}
	if c.LoadTimeout == 0 {
		c.LoadTimeout = defaultLoadTimeout
	}
	if c.WaitTimeout == 0 {
		c.WaitTimeout = c.LoadTimeout
	}
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"LoadTimeout", c.LoadTimeout},
		{"WaitTimeout", c.WaitTimeout},
		{"NegativeTTL", c.NegativeTTL},
		{"RefreshAhead", c.RefreshAhead},
		{"StaleFor", c.StaleFor},
	} {
		if field.value < 0 || field.value > 0 && field.value < time.Millisecond {
			return c, pattern, fmt.Errorf("cache: Config.%s is %v; it must be at least 1ms, or 0 for its default", field.name, field.value)
		}
	}
	if shortest := c.shortestTTL(); c.RefreshAhead >= shortest {
		return c, pattern, fmt.Errorf("cache: Config.RefreshAhead is %v; it must be shorter than the shortest TTL, %v", c.RefreshAhead, shortest)
	}
	if c.MaxValueBytes < 0 {
		return c, pattern, fmt.Errorf("cache: Config.MaxValueBytes is %d; it must be positive, or 0 for no bound", c.MaxValueBytes)
	}
	if c.Local, err = c.Local.complete(); err != nil {
		return c, pattern, err
	}
	if err := c.Verify.complete(c.Local.MaxEntries > 0); err != nil {
		return c, pattern, err
	}
	if c.Name == "" {
		c.Name = c.Key
	}
	return c, pattern, nil
}

// shortestTTL returns the TTL with all of its jitter.
func (c Config) shortestTTL() time.Duration {
	return c.TTL - time.Duration(c.Jitter*float64(c.TTL))
}
