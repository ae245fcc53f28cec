package pubsub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Shutdown ends the connection, so that nothing more is received, and waits until every
// subscription has read what is there for it, or is closed. If ctx ends first, Shutdown
// discards the rest and returns ctx's error. It implies Close.
func (h *Hub[T]) Shutdown(ctx context.Context) error {
	stopped := h.stop()
	h.log.end(h.report.Fail("receive", ErrClosed))
	h.mu.Lock()
	h.draining = true
	h.checkDrained()
	h.mu.Unlock()
	for _, s := range h.open() {
		s.finish()
	}
	select {
	case <-h.drained:
	case <-ctx.Done():
	}
	var cut error
	if len(h.open()) > 0 {
		cut = h.report.Fail("shut down", fmt.Errorf("%w; not every subscription had read its messages", ctx.Err()))
	}
	h.discard()
	return errors.Join(cut, stopped)
}

// Close ends the hub and its subscriptions at once, whatever they have not read, and
// waits for its goroutines. It may be called more than once. It waits no longer than a
// second for a dial that ignores its context, and its error says so.
func (h *Hub[T]) Close() error {
	h.discard()
	return h.stop()
}

// discard ends every subscription.
func (h *Hub[T]) discard() {
	closed := h.report.Fail("receive", ErrClosed)
	h.log.end(closed)
	for _, s := range h.open() {
		s.stop(closed)
	}
}

// stop ends the connection, the probe and the reading of the history.
func (h *Hub[T]) stop() error {
	h.opening.End(ErrClosed)
	defer h.opening.Wait(math.MaxInt64) // it waits for the connection
	if h.chain != nil {
		h.chain.stop()
	}
	if h.probe != nil {
		h.probe.stop()
	}
	if err := h.connection.Close(); err != nil {
		return h.report.Fail("close", err)
	}
	return nil
}

// open returns the subscriptions that have not ended.
func (h *Hub[T]) open() []*Subscription[T] {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.subs))
}

// remove removes a subscription that has ended.
func (h *Hub[T]) remove(s *Subscription[T]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, s)
	h.checkDrained()
}

// checkDrained needs h.mu.
func (h *Hub[T]) checkDrained() {
	if h.draining && len(h.subs) == 0 {
		h.drainedOnce.Do(func() { close(h.drained) })
	}
}
