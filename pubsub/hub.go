package pubsub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/jsoncodec"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/subscriber"
)

// A Hub hands the messages of one Redis connection to any number of local
// subscriptions. It is safe for concurrent use. Close it, or shut it down, before
// its client.
type Hub[T any] struct {
	cfg        Config
	json       jsoncodec.Codec[T]
	report     *report.Reporter
	connection *subscriber.Subscriber
	stats      counters
	probe      *probe // nil without Config.ProbeEvery

	log log[T]

	mu          sync.Mutex
	subs        map[*Subscription[T]]struct{}
	draining    bool
	drained     chan struct{} // closed when draining has emptied subs
	drainedOnce sync.Once
}

// listen makes a hub and waits until it is subscribed.
func listen[T any](ctx context.Context, rdb redis.UniversalClient, channel string, pattern bool, cfg Config) (*Hub[T], error) {
	h := &Hub[T]{
		cfg:    cfg,
		json:   jsoncodec.For[T](),
		report: report.New("pubsub", cfg.Name, cfg.OnError),
		subs:   map[*Subscription[T]]struct{}{}, drained: make(chan struct{}),
	}
	h.log.init(cfg.Buffer)
	if cfg.ProbeEvery > 0 {
		h.probe = newProbe(rdb, cfg)
	}
	connection, err := subscriber.New(rdb, subscriber.Config{
		Liveness:  cfg.Liveness,
		OnMessage: h.receive,
		OnGap:     h.restored,
		OnEnd:     func(error) { h.log.end(h.report.Fail("receive", ErrClientClosed)) },
		OnError:   func(err error) { h.tell("receive", err) },
	})
	if err != nil {
		return nil, h.report.Fail("listen", err)
	}
	h.connection = connection
	subscribe := connection.Subscribe
	if pattern {
		subscribe = connection.PSubscribe
	}
	err = subscribe(ctx, channel)
	if err == nil && h.probe != nil {
		err = connection.Subscribe(ctx, h.probe.channel)
	}
	if err != nil {
		_ = connection.Close()
		if errors.Is(err, subscriber.ErrClientClosed) {
			err = ErrClientClosed
		}
		return nil, h.report.Fail("listen", err)
	}
	if h.probe != nil {
		h.probe.start(connection, func(err error) { h.tell("probe", err) })
	}
	return h, nil
}

// Subscribe returns a subscription to what the hub receives from now on. On a hub
// that has ended it is one that has ended too. Close it when it is not read any
// more.
func (h *Hub[T]) Subscribe() *Subscription[T] {
	s := &Subscription[T]{hub: h, closed: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	var ended error
	if s.place, ended = h.log.enter(); ended != nil {
		s.err = ended
		return s
	}
	h.subs[s] = struct{}{}
	return s
}

// Name is Config.Name.
func (h *Hub[T]) Name() string { return h.cfg.Name }

// Shutdown ends the connection, so that nothing more is received, and waits until
// every subscription has read what is there for it, or is closed. If ctx ends
// before, the rest is discarded and its error returned. It implies Close.
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

// Close ends the hub and its subscriptions at once, whatever they have not read,
// and waits for its goroutines. It may be called more than once. A dial that
// ignores its context is waited for no longer than a second; the error says so.
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

// stop ends the connection and the probe.
func (h *Hub[T]) stop() error {
	if h.probe != nil {
		h.probe.stop()
	}
	if err := h.connection.Close(); err != nil {
		return h.report.Fail("close", err)
	}
	return nil
}

func (h *Hub[T]) open() []*Subscription[T] {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.subs))
}

func (h *Hub[T]) leave(s *Subscription[T]) {
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

// receive runs on the goroutine that reads the connection.
func (h *Hub[T]) receive(m *redis.Message) {
	if h.probe != nil && m.Channel == h.probe.channel {
		h.probe.echo(m.Payload)
		return
	}
	if strings.HasPrefix(m.Channel, reserved) {
		return // a wide pattern also matches the library's own
	}
	h.stats.received.Add(1)
	if h.subscribers() == 0 {
		return
	}
	e := &entry[T]{}
	raw := []byte(m.Payload)
	if v, kind := h.decode(raw); kind == "" {
		e.message = Message[T]{Value: v, Raw: raw, Channel: m.Channel}
	} else {
		h.stats.decodeErrors.Add(1)
		e.bad = &DecodeError{Channel: m.Channel, Raw: raw, kind: kind}
	}
	h.log.append(e)
}

// decode says of what kind the error was, if there was one.
func (h *Hub[T]) decode(raw []byte) (v T, kind string) {
	defer func() {
		if recover() != nil { // in a method of T
			v, kind = *new(T), "its decoder panicked"
		}
	}()
	v, err := h.json.Decode(raw)
	if err != nil {
		kind = jsoncodec.Kind(err)
	}
	return v, kind
}

// restored runs on the goroutine that reads the connection, between the messages
// from before a loss and those from after it.
func (h *Hub[T]) restored(cause error) {
	h.stats.reconnects.Add(1)
	if h.probe != nil {
		h.probe.restored.Add(1)
	}
	h.log.append(&entry[T]{gap: &GapError{Cause: cause}})
}

func (h *Hub[T]) subscribers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs)
}

// tell tells OnError what no caller gets.
func (h *Hub[T]) tell(op string, err error) {
	h.stats.errors.Add(1)
	h.report.Tell(context.Background(), h.report.Fail(op, err))
}
