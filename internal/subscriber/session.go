package subscriber

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
)

// A session is one connection, from its dial to its end.
type session struct {
	*Subscriber
	gap    *error                  // what OnGap is yet to be told
	hangUp context.CancelCauseFunc // ends the session, and closes its socket

	pubsub *redis.PubSub
	start  time.Time
	heard  atomic.Int64 // when the server last said something, since start

	// The reader's own.
	live      bool        // all that was wanted at the start is confirmed
	confirmed []*interest // of these, until live
	restoring int         // replies until live

	// Under Subscriber.mu.
	sent     map[topic]*interest // subscribed here, or about to be
	expected []reply             // in the order of their commands
}

// A reply is what the server will say to a command. An error comes in its place.
type reply struct {
	kind  string // as in redis.Subscription.Kind, or pong
	topic topic
	in    *interest
	asked time.Time // of pong: when its PING was about to be sent
}

const pong = "pong"

// A lost error is one of our own, to be told as it is.
type lost string

func (e lost) Error() string { return string(e) }

const (
	errSilent     lost = "the server has not answered a PING in time"
	errSlowDial   lost = "the server was not reached in time"
	errSecondDial lost = "the connection was lost"
	errUnexpected lost = "the server sent an unexpected reply"
)

// told is what of err may be told.
func told(err error) error {
	if own, ok := errors.AsType[lost](err); ok {
		return own
	}
	return redact.Clean(err)
}

// serve lives through the session and returns why it ended.
func (c *session) serve() error {
	ctx, cut := context.WithCancelCause(c.life)
	defer cut(nil)
	c.hangUp = cut
	client, err := c.connect(ctx)
	if err != nil {
		err = told(err)
		c.failed(err)
		return err
	}
	defer client.Close()
	defer func() { _ = c.pubsub.Close() }()

	commands := c.begin()
	var writer sync.WaitGroup
	writer.Go(func() { cut(c.write(ctx, commands)) })
	err = c.read(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx) // why the socket was closed
	}
	cut(err) // the socket too
	writer.Wait()
	err = told(err)
	c.over(err)
	c.failed(err)
	return err
}

// connect dials and greets. The client that it returns is the caller's to close.
// From then on the end of ctx closes the socket, whatever go-redis does at the
// time: neither a read nor a mutex outlasts it.
func (c *session) connect(ctx context.Context) (*redis.Client, error) {
	options, err := c.target(ctx)
	if err != nil {
		return nil, err
	}
	limit := max(options.DialTimeout, 0) + c.cfg.Liveness
	timeout := time.AfterFunc(limit, func() { c.hangUp(errSlowDial) })
	defer timeout.Stop()

	var dialled atomic.Bool
	dial := options.Dialer
	options.Dialer = func(_ context.Context, network, addr string) (net.Conn, error) {
		if dialled.Swap(true) {
			return nil, errSecondDial
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		return conn, nil
	}
	if c.cfg.Tune != nil {
		c.cfg.Tune(options)
	}
	options.ReadTimeout, options.WriteTimeout = c.cfg.Liveness, c.cfg.Liveness
	client := redis.NewClient(options)
	c.pubsub = client.Subscribe(ctx)
	c.start = time.Now()
	if err := c.pubsub.Ping(ctx); err != nil { // dials
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		client.Close()
		return nil, err
	}
	c.heard.Store(int64(time.Since(c.start)))
	return client, nil
}

// begin returns the commands that restore what is wanted.
func (c *session) begin() []reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = map[topic]*interest{}
	c.expected = []reply{{kind: pong, asked: c.start}}
	c.changed = c.changed[:0]
	for t := range c.topics {
		c.changed = append(c.changed, t)
	}
	commands := c.due()
	c.restoring = len(c.expected)
	return commands
}

// over notes the gap that begins: topics that were confirmed are not subscribed.
func (c *session) over(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = nil
	for _, in := range c.topics {
		if in.known && *c.gap == nil {
			*c.gap = err
		}
	}
}

// due returns the commands that bring the connection to what is wanted, and
// expects their replies. It needs c.mu.
func (c *session) due() []reply {
	var commands []reply
	for _, t := range c.changed {
		want, have := c.topics[t], c.sent[t]
		if want == have {
			continue
		}
		command := reply{kind: t.kind("subscribe"), topic: t, in: want}
		if want == nil {
			command.kind = t.kind("unsubscribe")
			delete(c.sent, t)
		} else {
			// Already subscribed or not: the server confirms it for this interest.
			c.sent[t] = want
		}
		commands = append(commands, command)
	}
	c.changed = c.changed[:0]
	c.expected = append(c.expected, commands...)
	return commands
}

// read takes what the server says until the connection ends.
func (c *session) read(ctx context.Context) error {
	for {
		frame, err := c.receive(ctx)
		c.heard.Store(int64(time.Since(c.start)))
		switch frame := frame.(type) {
		case *redis.Message:
			if c.live { // else it belongs to the gap
				c.cfg.OnMessage(frame)
			}
		case *redis.Subscription:
			t := topic{frame.Kind[0] == 'p', frame.Channel}
			err = c.replied(reply{kind: frame.Kind, topic: t}, nil)
		case *redis.Pong:
			err = c.replied(reply{kind: pong}, nil)
		default:
			var refusal redis.Error
			if !errors.As(err, &refusal) {
				return err // lost, or not to be understood: something was missed
			}
			err = c.replied(reply{}, err)
		}
		if err != nil {
			return err
		}
	}
}

// receive is the PubSub's own, which panics at a frame of a foreign shape.
func (c *session) receive(ctx context.Context) (frame any, err error) {
	defer func() {
		if recover() != nil {
			frame, err = nil, errUnexpected
		}
	}()
	frame, err = c.pubsub.Receive(ctx)
	if errors.Is(err, redis.Nil) { // which would pass for a refusal
		err = errUnexpected
	}
	return frame, err
}

// replied takes the reply to the oldest command, or the error in its place.
func (c *session) replied(got reply, refusal error) error {
	c.mu.Lock()
	if len(c.expected) == 0 {
		c.mu.Unlock()
		return errUnexpected
	}
	want := c.expected[0]
	c.expected = c.expected[1:]
	switch {
	case refusal != nil:
		if want.in == nil || want.in.known {
			c.mu.Unlock()
			return refusal
		}
		c.refuse(want.topic, want.in, refusal)
	case got.kind != want.kind || got.topic != want.topic:
		c.mu.Unlock()
		return errUnexpected
	case want.in != nil:
		c.confirmed = append(c.confirmed, want.in)
	}
	c.mu.Unlock()

	if c.live {
		c.confirm()
	} else if c.restoring--; c.restoring == 0 {
		c.live = true
		c.restored()
	}
	if want.kind == pong && c.live && c.cfg.OnPong != nil {
		c.cfg.OnPong(want.asked)
	}
	return nil
}

// restored tells the gap, if there is one, and then that the connection is live.
func (c *session) restored() {
	if cause := *c.gap; cause != nil {
		*c.gap = nil
		if c.cfg.OnGap != nil {
			c.cfg.OnGap(cause)
		}
	}
	if c.cfg.OnLive != nil && len(c.confirmed) > 0 {
		c.cfg.OnLive()
	}
	c.confirm()
}

// confirm tells those who wait for what the server has confirmed.
func (c *session) confirm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure, c.current = nil, c
	for _, in := range c.confirmed {
		if !in.known && in.refused == nil {
			in.known = true
			close(in.confirmed)
		}
	}
	c.confirmed = c.confirmed[:0]
}

// write sends commands, those that become due, and a PING after each half of
// Config.Liveness. It returns when nothing at all follows a PING for that long. A
// process that stood still meanwhile asks again: what the server has said may yet be
// unread.
func (c *session) write(ctx context.Context, commands []reply) error {
	timer := time.NewTimer(c.cfg.Liveness)
	defer timer.Stop()
	var asked time.Duration     // when the last PING was sent: connect's was
	before := time.Duration(-1) // what was last heard by then
	for {
		if ctx.Err() != nil { // what has become due since is of no use to anybody
			return context.Cause(ctx)
		}
		for _, command := range commands {
			if err := c.send(ctx, command); err != nil {
				return err
			}
		}
		commands = nil
		heard, now := time.Duration(c.heard.Load()), time.Since(c.start)
		left := asked + c.cfg.Liveness/2 - now
		stoodStill := left < -c.cfg.Liveness/8 // a PONG may wait to be read
		switch {
		case left > 0:
			timer.Reset(left)
			select {
			case <-timer.C:
			case <-c.wake:
				commands = c.next()
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		case heard == before && !stoodStill:
			return errSilent
		default:
			asked, before = now, heard
			commands = c.next(reply{kind: pong, asked: c.start.Add(now)})
		}
	}
}

// next returns the commands that are due, after those that are given.
func (c *session) next(first ...reply) []reply {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expected = append(c.expected, first...)
	return append(first, c.due()...)
}

// send writes one command: each topic has its own, so that a refusal is of that
// topic alone.
func (c *session) send(ctx context.Context, command reply) error {
	name := command.topic.name
	switch command.kind {
	case pong:
		return c.pubsub.Ping(ctx)
	case "subscribe":
		return c.pubsub.Subscribe(ctx, name)
	case "unsubscribe":
		return c.pubsub.Unsubscribe(ctx, name)
	case "psubscribe":
		return c.pubsub.PSubscribe(ctx, name)
	default:
		return c.pubsub.PUnsubscribe(ctx, name)
	}
}
