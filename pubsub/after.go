package pubsub

import "context"

// SubscribeAfter returns a subscription that begins behind the message at a position: with
// what the history has behind it, and goes on with what the hub receives. So a reader that
// was away, such as a browser with Last-Event-ID, gets each message once and in order. The
// position may come from any Hub of the topic, in any process.
//
// If the message is too old, unknown or of a history that was lost, a *GapError with the
// Cause ErrNotInHistory comes first, and then the oldest message that is later. A text that
// is no position, and the empty one, is ErrPosition. Without Config.History the error is
// ErrNoHistory. On a hub that has ended, the subscription has ended too.
//
// Messages without a position come again if they are behind the position, or are left out
// if the hub has not got to it yet.
//
// It costs no round trip if the hub has the message. Otherwise a script looks once whether
// Redis has it; if that fails or ctx ends meanwhile, the GapError comes first.
func (h *Hub[T]) SubscribeAfter(ctx context.Context, after string) (*Subscription[T], error) {
	if h.chain == nil {
		return nil, h.report.Fail("subscribe", ErrNoHistory)
	}
	p, ok := parsePosition(after)
	if !ok {
		return nil, h.report.Fail("subscribe", ErrPosition)
	}
	coming := false
	if h.chain.isAhead(p) { // another hub was faster, or the history was lost
		coming, _ = h.chain.historian.has(ctx, p) // without an answer the gap comes
	}
	h.chain.mu.Lock()
	defer h.chain.mu.Unlock()
	return h.subscribe(func(s *Subscription[T]) { h.chain.place(s, p, coming) }), nil
}

// isAhead reports whether the message at p is later than all in the log.
func (c *chain[T]) isAhead(p position) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return p.time > c.position.time
}

// place moves s behind the message at p. With coming, that message is in the history, if
// not in the log yet. It needs c.mu.
func (c *chain[T]) place(s *Subscription[T], p position, coming bool) {
	later, next, found := s.cursor, false, false
	c.hub.log.newestFirst(func(e *entry[T]) bool {
		if found = e.at == p; found {
			s.cursor = e.after(false)
		} else if e.at.time > p.time {
			later, next = e.cursor, e.before == p
		}
		return !found
	})
	switch {
	case found:
	case next: // its message is not kept any more, and the oldest one follows it
		s.cursor = later
	case p == c.position: // it is not kept any more, and nothing has come since
		s.cursor = c.behind
	case coming && p.time > c.position.time:
		s.after = p
	default:
		s.cursor, s.gap = later, &GapError{Cause: ErrNotInHistory}
	}
}

// leaves reports whether s does not deliver e, because its reader has it. It needs s.mu.
func (s *Subscription[T]) leaves(e *entry[T]) bool {
	switch after := s.after; {
	case after == position{}:
		return false
	case e.at == after:
		s.after = position{}
	case e.at.time > after.time: // the message has not come
		s.after, s.cursor, s.gap = position{}, e.cursor, &GapError{Cause: ErrNotInHistory}
	}
	return true
}
