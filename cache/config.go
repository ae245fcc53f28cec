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

	// TTL is how long a value lives in Redis, at least 1 ms. Required: a
	// cache without an end is a leak.
	TTL time.Duration

	// Jitter shortens each TTL by a random part of up to this fraction,
	// 0 to 0.9, so that values that were stored together do not expire
	// together. It never lengthens one. Defaults to 0, no jitter.
	Jitter float64

	// LoadTimeout bounds one run of a loader, whichever callers still wait
	// for it. The lease on the load outlives it by one second. Defaults to
	// 5 s.
	LoadTimeout time.Duration

	// WaitTimeout is how long a miss waits for the process that is already
	// loading that value. After it, the caller's loader runs too and its
	// value is returned without being stored. Defaults to LoadTimeout.
	WaitTimeout time.Duration

	// NegativeTTL is how long a loader's ErrNotFound is remembered, so that
	// ids that do not exist do not reach the loader each time. Defaults to
	// 0, not at all.
	NegativeTTL time.Duration

	// RefreshAhead makes one process of the fleet load a value again, in
	// the background, when a GetOrLoad hits it with less than this left to
	// live. It must be shorter than the TTL with its jitter. Each hit then
	// sends PTTL and GET in one round trip. Defaults to 0, off.
	RefreshAhead time.Duration

	// StaleFor keeps a copy of each value for this long after the value's
	// own TTL and answers from it when the loader fails. Delete deletes the
	// copy too. It doubles the memory. Defaults to 0, off.
	StaleFor time.Duration

	// MaxValueBytes bounds what is stored, in encoded bytes: Set refuses a
	// larger value, and a larger loaded value is returned without being
	// stored. Defaults to 0, no bound but Redis's own 512 MiB.
	MaxValueBytes int

	// Local keeps values in this process too, where a hit costs no round trip.
	// Defaults to off.
	Local Local

	// Codec turns values into the bytes that Redis holds. Defaults to JSON,
	// byte for byte as encoding/json writes it.
	Codec Codec

	// NoPipelining sends each read by itself. Else reads of this cache share
	// round trips while five or more of them are under way: hooks of the
	// client then see pipelines, in a context of their own. With Local only reads
	// of one id on a single server are shared: those of several ids, and all on a
	// Cluster, take a round trip of their own to each master. Defaults to false.
	NoPipelining bool

	// Name stands for this cache in errors and metrics. Defaults to Key.
	Name string

	// OnError is told the errors that no caller gets: Redis failures that a
	// loader made good, refused fills, loaders that failed in the
	// background or were covered by a stale copy, lost connections of Local. It
	// is called on the failure path only, possibly from several goroutines at
	// once, and must not block. Defaults to nil, not told.
	OnError func(context.Context, error)
}

const (
	defaultLoadTimeout = 5 * time.Second
	// leaseMargin is what a lease outlives its load by: time for the fill.
	leaseMargin = time.Second
	// detachedTimeout bounds what does not end with its caller: a Delete, and
	// the end of a lease.
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
	if c.Name == "" {
		c.Name = c.Key
	}
	return c, pattern, nil
}

// shortestTTL is the TTL with all of its jitter.
func (c Config) shortestTTL() time.Duration {
	return c.TTL - time.Duration(c.Jitter*float64(c.TTL))
}
