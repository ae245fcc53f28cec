package pubsub

import (
	"context"
	"iter"
	"sync"
)

// A Message is one that was published. All subscriptions of a Hub share it: do
// not change what Value points to, nor Raw.
type Message[T any] struct {
	// Value is the decoded payload.
	Value T
	// Raw is the payload as it was published, for passing it on.
	Raw []byte
	// Channel is where it was published.
	Channel string
	// Position is the place of the message in the topic's history, for SubscribeAfter: a
	// short text of digits and one hyphen. It is empty for a message that was published by
	// another program or without Config.History.
	Position string
}

// A Subscription reads what its Hub receives, from Subscribe on, in order. It
// takes no goroutine and no buffer of its own. It is safe for concurrent use;
// several readers share its messages out between them.
type Subscription[T any] struct {
	hub    *Hub[T]
	closed chan struct{} // closed with err

	mu     sync.Mutex
	cursor cursor
	gap    *GapError // comes first
	after  position  // messages up to this one are left out; zero for none
	err    error     // why it has ended
}

// Next returns the next message, waiting for it until ctx ends.
//
// Two errors stand among the messages, and Next goes on after them: a *GapError
// where messages are missing, and a *DecodeError in place of a message that is
// no JSON of the type. Any other error is the end: of ctx, after which the
// subscription can still be read, or of the subscription, as Err says.
func (s *Subscription[T]) Next(ctx context.Context) (Message[T], error) {
	for {
		if err := ctx.Err(); err != nil {
			return Message[T]{}, s.hub.report.Fail("next", err)
		}
		e, gap, wait, err := s.read()
		switch {
		case err != nil:
			return Message[T]{}, err
		case gap != nil:
			s.hub.stats.gaps.Add(1)
			s.hub.stats.missed.Add(gap.Missed)
			return Message[T]{}, gap
		case e != nil:
			s.hub.stats.delivered.Add(1)
			if e.bad != nil {
				return Message[T]{}, e.bad
			}
			return e.message, nil
		}
		select {
		case <-wait:
		case <-s.closed:
		case <-ctx.Done():
		}
	}
}

// All returns an iterator over what Next returns: messages, and as errors only
// *GapError and *DecodeError. It stops when ctx or the subscription ends; ctx.Err
// or Err says why.
func (s *Subscription[T]) All(ctx context.Context) iter.Seq2[Message[T], error] {
	return func(yield func(Message[T], error) bool) {
		for {
			m, err := s.Next(ctx)
			switch err.(type) { //nolint:errorlint // Next returns these two as they are
			case nil, *GapError, *DecodeError:
			default:
				return
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

// Err returns nil while the subscription can be read, and then why it cannot:
// ErrClosed or ErrClientClosed.
func (s *Subscription[T]) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the subscription, whatever it has not read. A Next that waits
// returns. It may be called more than once.
func (s *Subscription[T]) Close() {
	s.stop(s.hub.report.Fail("next", ErrClosed))
}

// read returns an entry, or a gap, or what to wait for, or the end.
func (s *Subscription[T]) read() (e *entry[T], gap *GapError, wait <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil {
		if gap = s.gap; gap != nil {
			s.gap = nil
			return nil, gap, nil, nil
		}
		if e, gap = s.hub.log.read(&s.cursor); gap == nil && e != nil {
			gap = e.gap
		}
		switch {
		case gap != nil:
			s.after = position{}
			return nil, gap, nil, nil
		case e != nil && s.leaves(e):
			continue
		case e != nil:
			return e, nil, nil, nil
		}
		wait, ended := s.hub.log.sleep(s.cursor)
		if wait != nil {
			return nil, nil, wait, nil
		}
		if ended != nil {
			s.end(ended)
		}
	}
	return nil, nil, nil, s.err
}

// finish ends the subscription if the log has ended and it has read all.
func (s *Subscription[T]) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ended := s.hub.log.sleep(s.cursor); ended != nil {
		s.end(ended)
	}
}

// stop ends the subscription wherever it is.
func (s *Subscription[T]) stop(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(reason)
}

// end needs s.mu.
func (s *Subscription[T]) end(reason error) {
	if s.err == nil {
		s.err = reason
		close(s.closed)
		s.hub.remove(s)
	}
}
