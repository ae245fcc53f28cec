package subscriber

import (
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/primary"
)

const (
	// DefaultLiveness is Config.Liveness if that is zero.
	DefaultLiveness = 10 * time.Second

	// MinLiveness is the least that Config.Liveness may be.
	MinLiveness = 10 * time.Millisecond
	// MaxLiveness is the most that Config.Liveness may be.
	MaxLiveness = time.Hour
)

// Config is how a Subscriber behaves and reports.
//
// The callbacks run one at a time, in order, on the goroutine that reads the
// connection. They must not block: while one runs, nothing is read. They must not
// call Subscribe, PSubscribe or Close, which wait for that goroutine; Unsubscribe is
// fine. If one panics, the connection is given up, and the panic is the reason.
type Config struct {
	// Liveness is how long the server may send nothing, not even PONG, before the
	// connection is given up. A PING is sent after each half of that. From 10 ms to
	// an hour. Defaults to DefaultLiveness, 10 s.
	Liveness time.Duration

	// Home is a key or channel. On a Cluster the connection leads to the primary of its
	// slot and to no other. When another one has the slot by the map of the client, the
	// connection is given up within half a second, and the new primary subscribed. One
	// server and Sentinel have no slots. Defaults to empty: any primary of a Cluster will
	// do, as the nodes pass on to each other what is published.
	Home string

	// OnMessage receives each message. A few may still come after Unsubscribe.
	// Required.
	OnMessage func(*redis.Message)

	// Tune changes the options of each connection, which are a copy. Defaults to
	// nil: the options stay as they are.
	Tune func(*redis.Options)

	// OnLive is called once for each connection, when the server has confirmed every
	// channel on it that it does not refuse, and at least one: after OnGap and before
	// the first message of the connection. Defaults to nil: not called.
	OnLive func()

	// OnPong is called for each PONG of a live connection, with the time at which its
	// PING was about to be sent. A refusal stands for a PONG if the server serves
	// otherwise, as one does whose snapshot failed. Everything that the server had sent by
	// then has been passed to the callbacks before. Defaults to nil: not called.
	OnPong func(pinged time.Time)

	// OnGap is called once for each time that the connection was lost and restored,
	// when the server has confirmed every channel again. Messages that were published
	// in between are lost, and so may be some from shortly before. It comes after all
	// messages of the old connection and before all of the new one. Defaults to nil:
	// not called.
	OnGap func(cause error)

	// OnError receives each loss of the connection, at once, each failed attempt to
	// restore it, and panics, as a *life.PanicError. The errors carry no data. Defaults
	// to nil: they are dropped.
	OnError func(error)

	// Follower returns what hears about the server of the next connection, if the
	// client dials through a primary.Watch. When that server does not count any more,
	// the connection is given up in any case. Doubts are for the Subscriber alone: OnDoubt
	// is not called. Defaults to nil: nothing more hears.
	Follower func() *primary.Follower

	// OnEnd receives ErrClientClosed when the Subscriber ends by itself. No callback
	// runs after it. Close does not cause it. Defaults to nil: not called.
	OnEnd func(error)
}

// complete checks c and fills in its defaults.
func (c Config) complete() (Config, error) {
	if c.OnMessage == nil {
		return c, errors.New("subscriber: Config.OnMessage is nil; it must be a function")
	}
	if c.Liveness == 0 {
		c.Liveness = DefaultLiveness
	}
	if c.Liveness < MinLiveness || c.Liveness > MaxLiveness {
		return c, fmt.Errorf("subscriber: Config.Liveness is %v; it must be from %v to %v, or 0 for %v",
			c.Liveness, MinLiveness, MaxLiveness, DefaultLiveness)
	}
	return c, nil
}
