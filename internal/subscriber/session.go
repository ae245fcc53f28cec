package subscriber

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
)

// A session is one connection, from its dial to its end. The Subscriber's goroutine
// dials and then reads; a second goroutine writes.
type session struct {
	sub    *Subscriber
	hangUp context.CancelCauseFunc // ends the session and closes its socket; the first cause counts

	client   *redis.Client // of this connection alone; nil until connect has made it
	pubsub   *redis.PubSub
	start    time.Time    // of the dial
	lastRead atomic.Int64 // when the last frame was read, in nanoseconds since start

	// The reader's own.
	live      bool        // the server has confirmed all that was wanted at the start
	restoring int         // how many replies are missing until then
	confirmed []*interest // whose callers still wait

	// The writer's own.
	subscribed map[topic]*interest // on this connection, or about to be

	doubt chan struct{} // holds a token when the server shall show that it is there

	mu       sync.Mutex
	expected []command // those without a reply, in the order in which they are sent
}

// A command is sent on the connection and has exactly one reply, or an error in its
// place.
type command struct {
	kind   string // of its reply: as in redis.Subscription.Kind, or pong
	topic  topic
	in     *interest // that a confirmation is for; nil for other commands
	pinged time.Time // of pong: when the PING was about to be sent
}

const pong = "pong"

// serve makes the connection, uses it until it ends, and returns why it ended.
func (c *session) serve(ctx context.Context) error {
	ctx, c.hangUp = context.WithCancelCause(ctx)
	if err := c.connect(ctx); err != nil {
		c.hangUp(err)
	} else {
		written := c.startWriter(ctx)
		c.hangUp(c.read(ctx)) // so that the writer ends too
		<-written
		_ = c.pubsub.Close()
	}
	if c.client != nil {
		c.client.Close()
	}
	return clean(context.Cause(ctx))
}

// expect adds commands that are about to be sent.
func (c *session) expect(commands ...command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected = append(c.expected, commands...)
}

// answered removes the oldest command from those that have no reply. There may be
// none.
func (c *session) answered() (oldest command, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.expected) == 0 {
		return command{}, false
	}
	oldest, c.expected = c.expected[0], c.expected[1:]
	return oldest, true
}

// A lossError is a reason of this package's own to give up a connection.
type lossError string

func (e lossError) Error() string { return string(e) }

// SafeText marks the text as free of data.
func (lossError) SafeText() {}

const (
	errSilent     lossError = "the server has not answered a PING in time"
	errSlowDial   lossError = "the server was not reached in time"
	errSecondDial lossError = "the connection was lost"
	errUnexpected lossError = "the server sent an unexpected reply"
	errMoved      lossError = "the channel's slot has another primary now"
)

// clean returns err without data.
func clean(err error) error {
	type safe interface {
		error
		SafeText()
	}
	if err, ok := errors.AsType[safe](err); ok {
		return err
	}
	return redact.Clean(err)
}
