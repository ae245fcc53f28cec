package lock

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/sender"
)

// Config says what a Locker locks and for how long. Key has no default; every
// other field may stay zero.
type Config struct {
	// Key is the pattern of the locks' keys: text with one '*', which the id
	// replaces, such as "lock:*". Required.
	Key string

	// TTL is how long a lock lasts after its holder took or renewed it, at least
	// 100 ms. A holder renews its lock every third of the TTL, and must stop if
	// it could not for nine tenths of it. Defaults to 10 s.
	TTL time.Duration

	// MaxHold is how long one lock may be held, at least TTL, so that a forgotten
	// Release does not block others for ever. After that the lock's context ends
	// and the lock is given back, whether its holder has stopped or not. Defaults
	// to 10 min, or TTL if that is longer.
	MaxHold time.Duration

	// Poll is how often a waiter looks at a lock although no release was
	// announced, at least 10 ms: the holder may have ended without one, or may be
	// a service in another language. A lock that expires sooner is looked at when
	// it does. Defaults to 500 ms.
	Poll time.Duration

	// Replicas makes a lock, and each renewal, count only once that many replicas
	// have it. Defaults to none.
	Replicas Replicas

	// Name stands for this Locker in errors and metrics. Defaults to Key.
	Name string

	// OnError receives the errors that no caller gets: failed renewals, failed
	// releases after Do, refused announcements of a release, failures that a
	// waiter waits out, panics in the background (print those with %+v for the
	// stack). It is called on the failure path only, possibly from several
	// goroutines at once, and must not block. Defaults to nil: they are dropped.
	OnError func(context.Context, error)
}

// Replicas says how many replicas must acknowledge a lock. It makes it less likely that a
// failover gives a lock to two holders, but not impossible; see the package's documentation.
type Replicas struct {
	// N is the number of replicas, 0 or more. Defaults to 0, none.
	N int

	// Timeout is how long they may take: at least 1 ms, and less than the client's
	// ReadTimeout and a third of TTL. Defaults to 100 ms, or a quarter of TTL if
	// that is shorter.
	Timeout time.Duration
}

const (
	defaultTTL             = 10 * time.Second
	defaultMaxHold         = 10 * time.Minute
	defaultPoll            = 500 * time.Millisecond
	defaultReplicasTimeout = 100 * time.Millisecond

	// minTTL leaves a renewal time for its round trip. A TTL that rounds to 0 ms
	// would make a renewal delete the key.
	minTTL  = 100 * time.Millisecond
	minPoll = 10 * time.Millisecond
	// detachedTimeout bounds what does not end with its caller: a release.
	detachedTimeout = 2 * time.Second
)

// complete checks c and fills in its defaults.
func (c Config) complete(rdb redis.UniversalClient) (Config, keys.Pattern, error) {
	pattern, err := keys.Parse(c.Key)
	if err != nil {
		return c, pattern, fmt.Errorf("lock: Config.Key %w", err)
	}
	if c.TTL == 0 {
		c.TTL = defaultTTL
	}
	for _, field := range []struct {
		name      string
		value     *time.Duration
		byDefault time.Duration
		least     time.Duration
	}{
		{"TTL", &c.TTL, defaultTTL, minTTL},
		{"MaxHold", &c.MaxHold, max(defaultMaxHold, c.TTL), c.TTL},
		{"Poll", &c.Poll, defaultPoll, minPoll},
	} {
		if *field.value == 0 {
			*field.value = field.byDefault
		}
		if *field.value < field.least {
			return c, pattern, fmt.Errorf("lock: Config.%s is %v; it must be at least %v, or 0 for %v", field.name, *field.value, field.least, field.byDefault)
		}
	}
	replicas, err := sender.Replicas(c.Replicas).Complete("lock", rdb, min(defaultReplicasTimeout, c.TTL/4))
	if err != nil {
		return c, pattern, err
	}
	c.Replicas = Replicas(replicas)
	if c.Replicas.N > 0 && c.Replicas.Timeout >= c.renewEvery() {
		return c, pattern, fmt.Errorf("lock: Config.Replicas.Timeout is %v; it must be shorter than a third of TTL, %v", c.Replicas.Timeout, c.renewEvery())
	}
	if c.Name == "" {
		c.Name = c.Key
	}
	return c, pattern, nil
}

// validFor returns how long a lock may be trusted after the request that took or renewed it
// was sent: nine tenths of the TTL. Redis counts the TTL from a later moment. The last tenth
// is for clocks that run at different speeds, and for holders to stop.
func (c Config) validFor() time.Duration { return c.TTL - c.TTL/10 }

// renewEvery returns the longest pause between two renewals.
func (c Config) renewEvery() time.Duration { return c.TTL / 3 }

// renewalsTogether is into how many moments the renewals of all locks of a Locker fall in
// each renewEvery. Those of one moment share round trips.
const renewalsTogether = 4

// renewAfter returns the pause before the next renewal of a lock that was extended at start:
// renewEvery, or up to a quarter of it less.
func (c Config) renewAfter(start instant) time.Duration {
	every := c.renewEvery()
	moment := (start.mono + every) * renewalsTogether / every
	return moment*every/renewalsTogether - start.mono
}

// renewAfterFailure returns the pause after a renewal that failed.
func (c Config) renewAfterFailure() time.Duration { return c.TTL / 12 }
