package pubsub

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/subscriber"
)

// Config says how a Topic and its Hubs behave. Every field may stay zero.
type Config struct {
	// Buffer is how many messages a Hub keeps for its subscriptions: how far behind
	// the newest message the slowest subscription may be before it loses its oldest
	// ones. The Hub keeps each message once for all, until a newer one replaces it.
	// From 1 to 16,777,216. With a History not less than its Messages. Defaults to 1024,
	// with a History to twice its Messages if that is more.
	Buffer int

	// History keeps what is published in Redis for a while, so that Hubs can read what they
	// missed and subscriptions can begin behind a message. All Topics of a channel should
	// have the same one. Defaults to no history.
	History History

	// Liveness is how long a Hub's server may send nothing, not even PONG, before the
	// connection is given up and made anew. A PING is sent after each half of that.
	// From 10 ms to an hour. Defaults to 10 s.
	Liveness time.Duration

	// ProbeEvery is how often a Hub publishes a message to itself, through its client,
	// as Topic.Publish does, and on a channel of its own, rediskit:probe:{<channel>}:<random>.
	// If the message does not arrive within Liveness, the Hub makes its connection anew. A
	// probe finds a server that answers PONG but that receives no messages any more, such
	// as a primary that was demoted while the Sentinels could not reach it. An ACL user
	// needs &rediskit:probe:* and what Publish needs. A Hub of a pattern on a Cluster has no
	// probe. At least 10 ms. Defaults to Liveness on a Cluster; to no probe elsewhere.
	ProbeEvery time.Duration

	// NoProbe switches off the probe that a Hub on a Cluster has without a ProbeEvery.
	// Defaults to false.
	NoProbe bool

	// Name stands for the topic in errors and metrics. Set it if the channel's name
	// holds an id. Defaults to the channel or pattern.
	Name string

	// OnError receives the errors that no caller gets: each loss of a Hub's connection,
	// failed attempts to restore it, failed probes, and panics of the type's decoder.
	// It is called on the failure path only, from a Hub's own goroutines, and must not
	// block: while it runs, nothing is received. Defaults to nil: they are dropped.
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
		return c, fmt.Errorf("pubsub: Config.ProbeEvery is %v; it must be at least %v, or 0 for the default", c.ProbeEvery, minProbeEvery)
	}
	if c.ProbeEvery != 0 && c.NoProbe {
		return c, fmt.Errorf("pubsub: Config.ProbeEvery is %v, and Config.NoProbe is set; leave one of them out", c.ProbeEvery)
	}
	var err error
	if c.History, err = c.History.complete(); err != nil {
		return c, err
	}
	if c.Buffer != 0 && c.Buffer < c.History.Messages {
		return c, fmt.Errorf("pubsub: Config.Buffer is %d; it must be at least Config.History.Messages, which is %d, or 0 for the default", c.Buffer, c.History.Messages)
	}
	if c.Buffer == 0 {
		c.Buffer = max(defaultBuffer, 2*c.History.Messages)
	}
	if c.Liveness == 0 {
		c.Liveness = subscriber.DefaultLiveness
	}
	if c.Name == "" {
		c.Name = channel
	}
	return c, nil
}

// probeEvery is how often a hub on one connection probes it, 0 for never.
func (c Config) probeEvery(rdb redis.UniversalClient) time.Duration {
	if _, cluster := rdb.(*redis.ClusterClient); cluster && c.ProbeEvery == 0 && !c.NoProbe {
		return c.Liveness
	}
	return c.ProbeEvery
}
