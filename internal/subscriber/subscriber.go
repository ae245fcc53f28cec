// Package subscriber keeps subscriptions alive on one Redis connection of its
// own, and never hides a gap in what was received.
//
// It takes from go-redis's PubSub only what is exact in it: Receive, Ping and
// Close. PubSub's own reconnect happens inside Receive, at once, without a word
// and under the mutex that Close needs; its health check writes a PING and never
// waits for the PONG. So a session here is a client with one PubSub, whose dialer
// admits a single dial: when that connection breaks, the session is over.
package subscriber

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	// ErrClosed is what Subscribe returns after Close.
	ErrClosed = errors.New("subscriber closed")

	// ErrClientClosed is what Subscribe returns, and OnEnd is told, once the
	// client that was passed to New was found closed.
	ErrClientClosed = errors.New("the subscriber's client was closed")
)

// Config is how a Subscriber tells its user what happens. The callbacks run one
// at a time, in order, on the goroutine that reads the connection. They must not
// block: while one runs, nothing is read. They must not call Subscribe,
// PSubscribe or Close, which wait for that goroutine; Unsubscribe is fine.
type Config struct {
	// Liveness is how long the server may say nothing, not even PONG, before
	// the connection is given up. It is asked with a PING after each half of that.
	// From 10 ms to an hour. Defaults to DefaultLiveness.
	Liveness time.Duration

	// OnMessage is told each message. A few may still come after Unsubscribe.
	// Required.
	OnMessage func(*redis.Message)

	// Tune changes the options of each connection, which are a copy. Defaults to
	// nil, no changes.
	Tune func(*redis.Options)

	// OnLive is told once for each connection, when the server has confirmed
	// every channel on it that it does not refuse, and at least one: after OnGap
	// and before its first message. Defaults to nil, not told.
	OnLive func()

	// OnPong is told, of each PONG of a live connection, when its PING was about to
	// be sent: all that the server had said by then has been told before. Defaults
	// to nil, not told.
	OnPong func(asked time.Time)

	// OnGap is told once for each time that the connection was lost and is
	// back, when the server has confirmed every channel again: messages that
	// were published in between are lost, and so may be some from shortly
	// before. It comes after all messages of the old connection and before all
	// of the new one. Defaults to nil, not told.
	OnGap func(cause error)

	// OnError is told each loss of the connection, at once, and each failed
	// attempt to restore it. The errors carry no data. Defaults to nil, not
	// told.
	OnError func(error)

	// OnEnd is told ErrClientClosed when the Subscriber ends by itself. Nothing
	// is told after it. Close does not cause it. Defaults to nil, not told.
	OnEnd func(error)
}

const (
	// DefaultLiveness is Config.Liveness if that is zero.
	DefaultLiveness = 10 * time.Second

	// MinLiveness is the least that Config.Liveness may be.
	MinLiveness = 10 * time.Millisecond
	// MaxLiveness is the most that Config.Liveness may be.
	MaxLiveness = time.Hour
)

// closePatience is how long Close waits for a dial that ignores its context.
const closePatience = time.Second

// A Subscriber keeps channels and patterns subscribed. It is safe for concurrent
// use.
type Subscriber struct {
	cfg    Config
	target func(ctx context.Context) (*redis.Options, error)
	life   context.Context
	end    context.CancelCauseFunc
	done   chan struct{} // closed when run has ended
	wake   chan struct{} // holds a token while changed may hold something

	mu      sync.Mutex
	topics  map[topic]*interest
	changed []topic  // whose command is due
	failure error    // of the last attempt to connect; nil while connected
	current *session // the one that is restored; nil between two
}

// A topic is a channel or a pattern.
type topic struct {
	pattern bool
	name    string
}

func (t topic) kind(verb string) string {
	if t.pattern {
		return "p" + verb
	}
	return verb
}

// An interest is a topic that somebody wants.
type interest struct {
	users     int
	confirmed chan struct{} // closed by the first confirmation, or a refusal
	refused   error         // set before that
	known     bool          // was confirmed once: its absence is a gap
}

// New returns a Subscriber over a copy of rdb's options: address, credentials,
// TLS and dialer, and so with Sentinel the current master. On a Cluster it
// subscribes at any one master: the nodes pass on to each other what is
// published. It dials when the first topic is wanted.
func New(rdb redis.UniversalClient, cfg Config) (*Subscriber, error) {
	target, err := targetOf(rdb)
	if err != nil {
		return nil, err
	}
	if cfg.Liveness == 0 {
		cfg.Liveness = DefaultLiveness
	}
	if cfg.Liveness < MinLiveness || cfg.Liveness > MaxLiveness {
		return nil, fmt.Errorf("liveness is %v; it must be from %v to %v, or 0 for its default", cfg.Liveness, MinLiveness, MaxLiveness)
	}
	s := &Subscriber{
		cfg: cfg, target: target,
		done: make(chan struct{}), wake: make(chan struct{}, 1),
		topics: map[topic]*interest{},
	}
	s.life, s.end = context.WithCancelCause(context.Background())
	go s.run()
	return s, nil
}

// Subscribe returns once Redis has confirmed every channel: what is published
// from then on is received, or is in a gap that OnGap is told. While Redis is
// away it waits, until ctx ends; its error then says why it waited. A server that
// refuses, for a wrong password or a missing permission, ends the wait.
//
// Each Subscribe needs an Unsubscribe: a channel stays subscribed for as long as
// one of its users wants it. One that has failed needs none.
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
		s.release(t, nil)
	}
}

// PUnsubscribe takes back one PSubscribe of each pattern. It does not wait.
func (s *Subscriber) PUnsubscribe(patterns ...string) {
	for _, t := range topicsOf(patterns, true) {
		s.release(t, nil)
	}
}

// Reconnect gives up the current connection as if it had broken for that reason.
// It does nothing while the connection is being restored anyway.
func (s *Subscriber) Reconnect(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.current.hangUp(lost(reason))
	}
}

// Close ends the connection, waiting Subscribes and the Subscriber's goroutines.
// When it has returned nil, no callback runs any more. Dials that honour their
// context end at once; Close waits a second for one that does not and says so in
// its error. It may be called more than once.
func (s *Subscriber) Close() error {
	s.end(ErrClosed)
	patience := time.NewTimer(closePatience)
	defer patience.Stop()
	select {
	case <-s.done:
		return nil
	case <-patience.C:
		return fmt.Errorf("a dial still runs %v after its context has ended; set a Dialer that honours its context", closePatience)
	}
}

func topicsOf(names []string, pattern bool) []topic {
	topics := make([]topic, len(names))
	for i, name := range names {
		topics[i] = topic{pattern, name}
	}
	return topics
}

func (s *Subscriber) subscribe(ctx context.Context, topics []topic) error {
	wanted := make([]*interest, len(topics))
	for i, t := range topics {
		wanted[i] = s.want(t)
	}
	for _, in := range wanted {
		if err := s.await(ctx, in); err != nil {
			for i, t := range topics {
				s.release(t, wanted[i])
			}
			return err
		}
	}
	return nil
}

func (s *Subscriber) await(ctx context.Context, in *interest) error {
	select {
	case <-in.confirmed:
	case <-s.life.Done():
	case <-ctx.Done():
	}
	if s.life.Err() != nil {
		return context.Cause(s.life)
	}
	select {
	case <-in.confirmed:
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

func (s *Subscriber) want(t topic) *interest {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.topics[t]
	if in == nil {
		in = &interest{confirmed: make(chan struct{})}
		s.topics[t] = in
		s.change(t)
	}
	in.users++
	return in
}

// release ends one use of t: of only, if given, and not of a later interest.
func (s *Subscriber) release(t topic, only *interest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.topics[t]
	if in == nil || only != nil && in != only {
		return
	}
	if in.users--; in.users == 0 {
		delete(s.topics, t)
		s.change(t)
	}
}

// change needs s.mu.
func (s *Subscriber) change(t topic) {
	s.changed = append(s.changed, t)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// refuse tells those who wait for in that the server does not let them. It needs
// s.mu.
func (s *Subscriber) refuse(t topic, in *interest, err error) {
	in.refused = told(err)
	close(in.confirmed)
	if s.topics[t] == in {
		delete(s.topics, t)
		s.change(t)
	}
}
