// Package subscriber keeps subscriptions alive on one Redis connection of its own,
// and reports every gap in what it received.
//
// It uses go-redis's PubSub only to read and write frames. PubSub would also
// reconnect by itself: inside Receive, at once, without a callback, and under the
// mutex that Close needs. Its health check writes a PING and never waits for the
// PONG. So each connection here is a session: a client with one PubSub, whose dialer
// admits a single dial. When the connection breaks, the session is over, and another
// one follows.
//
// These connections do not go through package sender. SUBSCRIBE and PING are written
// to the PubSub's own connection, which no other command shares, and their replies
// come among the messages.
//
//   - topics.go: the channels and patterns that callers want.
//   - target.go: the server to connect to.
//   - run.go: one session after another, with pauses.
//   - session.go: one connection from its start to its end, which dials (dial.go),
//     reads (read.go) and writes (write.go).
package subscriber

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
)

var (
	// ErrClosed is what Subscribe returns after Close.
	ErrClosed = errors.New("subscriber closed")

	// ErrClientClosed is what Subscribe returns, and OnEnd receives, once the client
	// that was passed to New was found closed.
	ErrClientClosed = errors.New("the subscriber's client was closed")
)

// closePatience is how long Close waits for a dial that ignores its context.
const closePatience = time.Second

// A Subscriber keeps channels and patterns subscribed. It is safe for concurrent
// use. It owns one goroutine, and a second one while it is connected.
type Subscriber struct {
	cfg    Config
	topics *topics
	life   *life.Life

	// Of the goroutine that runs sessions.
	target target
	gap    error // why the connection was lost: the first cause since the last OnGap

	mu      sync.Mutex
	failure error    // of the last connection, or attempt to make one; nil while a session is live
	current *session // the session that is live; nil between two
}

// New returns a Subscriber over a copy of rdb's options: address, credentials, TLS
// and dialer, and so with Sentinel the current primary. On a Cluster it subscribes at
// one primary: the one that Config.Home asks for, else any. It dials when the first
// channel or pattern is wanted.
func New(rdb redis.UniversalClient, cfg Config) (*Subscriber, error) {
	target, err := newTarget(rdb, cfg.Home)
	if err != nil {
		return nil, err
	}
	cfg, err = cfg.complete()
	if err != nil {
		return nil, err
	}
	s := &Subscriber{cfg: cfg, topics: newTopics(), target: target}
	s.life = life.New(s.report)
	s.life.Go(context.Background(), s.run)
	return s, nil
}

// Subscribe returns once Redis has confirmed every channel. What is published from
// then on is received, or lies in a gap that OnGap reports. While Redis is away,
// Subscribe waits until ctx ends; its error then says why it waited. A server that
// refuses, for a wrong password or a missing permission, ends the wait.
//
// Each Subscribe needs an Unsubscribe: a channel stays subscribed for as long as one
// of its users wants it. A Subscribe that has failed needs none.
func (s *Subscriber) Subscribe(ctx context.Context, channels ...string) error {
	return s.subscribe(ctx, topicsOf(channels, false))
}

// PSubscribe is Subscribe for patterns.
func (s *Subscriber) PSubscribe(ctx context.Context, patterns ...string) error {
	return s.subscribe(ctx, topicsOf(patterns, true))
}

// Unsubscribe takes back one Subscribe of each channel. It does not wait.
func (s *Subscriber) Unsubscribe(channels ...string) {
	for _, t := range topicsOf(channels, false) {
		s.topics.release(t, nil)
	}
}

// PUnsubscribe takes back one PSubscribe of each pattern. It does not wait.
func (s *Subscriber) PUnsubscribe(patterns ...string) {
	for _, t := range topicsOf(patterns, true) {
		s.topics.release(t, nil)
	}
}

// Reconnect gives up the current connection, as if it had broken for that reason. It
// does nothing while the connection is being restored anyway.
func (s *Subscriber) Reconnect(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.current.hangUp(lossError(reason))
	}
}

// Close ends the connection, waiting Subscribes and the Subscriber's goroutines.
// When it has returned nil, no callback runs any more. Dials that honour their
// context end at once. Close waits a second for one that does not, and its error
// says so. It may be called more than once.
func (s *Subscriber) Close() error {
	s.life.End(ErrClosed)
	if !s.life.Wait(closePatience) {
		return fmt.Errorf("a dial still runs %v after its context has ended; set a Dialer that honours its context", closePatience)
	}
	return nil
}

func (s *Subscriber) subscribe(ctx context.Context, topics []topic) error {
	interests := make([]*interest, len(topics))
	for i, t := range topics {
		interests[i] = s.topics.want(t)
	}
	for _, in := range interests {
		if err := s.await(ctx, in); err != nil {
			for i, t := range topics {
				s.topics.release(t, interests[i])
			}
			return err
		}
	}
	return nil
}

// await returns when the server has confirmed or refused in.
func (s *Subscriber) await(ctx context.Context, in *interest) error {
	select {
	case <-in.settled:
	case <-s.life.Context().Done():
	case <-ctx.Done():
	}
	if s.life.Ended() {
		return context.Cause(s.life.Context())
	}
	select {
	case <-in.settled:
		return in.refused
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return fmt.Errorf("%w; the connection's last failure: %w", ctx.Err(), s.failure)
	}
	return ctx.Err()
}

// report calls OnError. If OnError panics, it receives its own panic; if it panics at
// that too, the process ends.
func (s *Subscriber) report(err error) {
	if s.cfg.OnError != nil {
		defer life.Recover(s.cfg.OnError)
		s.cfg.OnError(err)
	}
}
