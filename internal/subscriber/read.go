package subscriber

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/refusal"
)

// read passes on what the server sends until the connection ends, and returns why.
func (c *session) read(ctx context.Context) (err error) {
	defer life.Recover(func(panicked error) { err = panicked }) // in a callback
	for {
		frame, err := c.receive(ctx)
		c.lastRead.Store(int64(time.Since(c.start)))
		switch frame := frame.(type) {
		case *redis.Message:
			if c.live { // else it belongs to the gap
				c.sub.cfg.OnMessage(frame)
			}
		case *redis.Subscription:
			t := topic{frame.Kind[0] == 'p', frame.Channel}
			err = c.replied(command{kind: frame.Kind, topic: t}, nil)
		case *redis.Pong:
			err = c.replied(command{kind: pong}, nil)
		default:
			if _, refused := errors.AsType[redis.Error](err); !refused {
				return err // the connection is lost, or the frame cannot be understood
			}
			err = c.replied(command{}, err)
		}
		if err != nil {
			return err
		}
	}
}

// receive returns the next frame. go-redis panics at frames of some shapes that Redis
// never sends; such a frame ends the connection.
func (c *session) receive(ctx context.Context) (frame any, err error) {
	defer life.Recover(func(panicked error) {
		c.sub.report(panicked)
		frame, err = nil, errUnexpected
	})
	frame, err = c.pubsub.Receive(ctx)
	if errors.Is(err, redis.Nil) { // a redis.Error, but no refusal
		err = errUnexpected
	}
	return frame, err
}

// replied takes the reply to the oldest command. failure is the error that came in
// its place, or nil. A refusal in place of a pong is a sign of life all the same; one
// that passes is no answer to a subscription.
func (c *session) replied(got command, failure error) error {
	want, ok := c.answered()
	why, _ := refusal.Of(failure)
	switch {
	case !ok:
		return errUnexpected
	case failure != nil && want.kind == pong:
	case failure != nil:
		if want.in == nil || why.Passes || !c.sub.topics.refuse(want.topic, want.in, failure) {
			return failure
		}
	case got.kind != want.kind || got.topic != want.topic:
		return errUnexpected
	case want.in != nil:
		c.confirmed = append(c.confirmed, want.in)
	}

	if c.live {
		c.confirm()
	} else if c.restoring--; c.restoring == 0 {
		c.live = true
		c.restored()
	}
	serves := failure == nil || why.Alive // else it may be a replica that hears nothing
	if want.kind == pong && serves && c.live && c.sub.cfg.OnPong != nil {
		c.sub.cfg.OnPong(want.pinged)
	}
	return nil
}

// restored reports the gap, if there is one, and then that the connection is live.
func (c *session) restored() {
	if cause := c.sub.gap; cause != nil {
		c.sub.gap = nil
		if c.sub.cfg.OnGap != nil {
			c.sub.cfg.OnGap(cause)
		}
	}
	if c.sub.cfg.OnLive != nil && len(c.confirmed) > 0 {
		c.sub.cfg.OnLive()
	}
	c.confirm()
}

// confirm wakes the callers that wait for what the server has confirmed.
func (c *session) confirm() {
	c.sub.mu.Lock()
	c.sub.failure, c.sub.current = nil, c
	c.sub.mu.Unlock()
	c.sub.topics.confirm(c.confirmed)
	c.confirmed = c.confirmed[:0]
}
