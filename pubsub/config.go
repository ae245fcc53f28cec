package pubsub

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/convkit/rediskit/internal/subscriber"
)

// Config says how a Topic and its Hubs behave. Every field may stay zero.
type Config struct {
	// Buffer is how many messages a Hub keeps for its subscriptions: how far
	// behind the newest one the slowest may be before it loses its oldest. The
	// Hub keeps them once, for all, and until newer ones replace them.
	// Defaults to 1024.
	Buffer int

	// Liveness is how long a Hub's server may say nothing, not even PONG, before
	// the connection is given up and made anew. It is asked after half of that.
	// From 10 ms to an hour. Defaults to 10 s.
	Liveness time.Duration

	// ProbeEvery makes a Hub publish to itself that often, through its client and
	// on a channel of its own, rediskit:probe:<random>, and make its connection
	// anew when the message has not arrived within Liveness. It finds a server
	// that answers PONG but that nobody publishes to any more, such as a master
	// that was demoted while the Sentinels could not reach it. An ACL user needs
	// &rediskit:probe:* for it. At least 10 ms. Defaults to 0, off.
	ProbeEvery time.Duration

	// Name stands for the topic in errors and metrics: set it if the channel's
	// name holds an id. Defaults to the channel or pattern.
	Name string

	// OnError is told the errors that no caller gets: each loss of a Hub's
	// connection, failed attempts to restore it and failed probes. It is called
	// on the failure path only, from a Hub's own goroutines, and must not block:
	// while it runs, nothing is received. Defaults to nil, not told.
	OnError func(context.Context, error)
}

const (
	defaultBuffer = 1024
	maxBuffer     = 1 << 24
	minProbeEvery = 10 * time.Millisecond
	// reserved begins the names of the library's own channels.
	reserved = "rediskit:"
)

// complete checks c for the given channel or pattern and fills in its defaults.
func (c Config) complete(kind, channel string) (Config, error) {
	if channel == "" {
		return c, fmt.Errorf("pubsub: empty %s", kind)
	}
	if strings.HasPrefix(channel, reserved) {
		return c, fmt.Errorf("pubsub: a %s must not begin with %q, which is the library's own", kind, reserved)
	}
	if c.Buffer < 0 || c.Buffer > maxBuffer {
		return c, fmt.Errorf("pubsub: Config.Buffer is %d; it must be from 1 to %d, or 0 for %d", c.Buffer, maxBuffer, defaultBuffer)
	}
	if c.Liveness != 0 && (c.Liveness < subscriber.MinLiveness || c.Liveness > subscriber.MaxLiveness) {
		return c, fmt.Errorf("pubsub: Config.Liveness is %v; it must be from %v to %v, or 0 for %v",
			c.Liveness, subscriber.MinLiveness, subscriber.MaxLiveness, subscriber.DefaultLiveness)
	}
	if c.ProbeEvery != 0 && c.ProbeEvery < minProbeEvery {
		return c, fmt.Errorf("pubsub: Config.ProbeEvery is %v; it must be at least %v, or 0 for no probe", c.ProbeEvery, minProbeEvery)
	}
	if c.Buffer == 0 {
		c.Buffer = defaultBuffer
	}
	if c.Liveness == 0 {
		c.Liveness = subscriber.DefaultLiveness
	}
	if c.Name == "" {
		c.Name = channel
	}
	return c, nil
}
