package pubsub

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/jsoncodec"
	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/subscriber"
)

// A Hub hands the messages of one Redis connection, or for a pattern on a Cluster of one
// to each primary, to any number of local subscriptions. It is safe for concurrent use.
// Close it, or shut it down, before its client.
type Hub[T any] struct {
	cfg        Config
	json       jsoncodec.Codec[T]
	report     *report.Reporter
	connection interface{ Close() error } // a *subscriber.Subscriber or a *spread
	probe      *probe                     // nil if there is none
	chain      *chain[T]                  // nil without a history
	log        log[T]
	stats      counters

	opening  *life.Life // subscribes, if nobody waits for that
	beginGap func()     // puts the gap with which an opened hub begins; nil if it does not

	mu          sync.Mutex
	subs        map[*Subscription[T]]struct{}
	draining    bool
	drained     chan struct{} // closed when draining and subs is empty
	drainedOnce sync.Once
}

// newHub makes a hub that is not subscribed. subscribe does that, and waits until it is.
func newHub[T any](rdb redis.UniversalClient, channel string, pattern bool, cfg Config) (h *Hub[T], subscribe func(context.Context) error, err error) {
	h = &Hub[T]{
		cfg:    cfg,
		json:   jsoncodec.For[T](),
		report: report.New("pubsub", cfg.Name, cfg.OnError),
		subs:   map[*Subscription[T]]struct{}{}, drained: make(chan struct{}),
	}
	h.opening = life.New(h.reporter("listen"))
	h.log.init(cfg.Buffer)
	if cluster, ok := rdb.(*redis.ClusterClient); ok && pattern {
		connections := h.connectAll(cluster, channel)
		h.connection = connections
		return h, connections.await, nil
	}
	connection, err := h.connect(rdb, channel, pattern)
	if err != nil {
		return nil, nil, h.report.Fail("listen", err)
	}
	h.connection = connection
	return h, func(ctx context.Context) error { return h.subscribeOn(ctx, connection, channel, pattern) }, nil
}

// listen makes a hub and waits until it is subscribed.
func listen[T any](ctx context.Context, rdb redis.UniversalClient, channel string, pattern bool, cfg Config) (*Hub[T], error) {
	h, subscribe, err := newHub[T](rdb, channel, pattern, cfg)
	if err != nil {
		return nil, err
	}
	if err := subscribe(ctx); err != nil {
		_ = h.stop()
		if errors.Is(err, subscriber.ErrClientClosed) {
			err = ErrClientClosed
		}
		return nil, h.report.Fail("listen", err)
	}
	return h, nil
}

// open makes a hub that subscribes by itself. Its first entry is a gap.
func open[T any](rdb redis.UniversalClient, channel string, pattern bool, cfg Config) (*Hub[T], error) {
	h, subscribe, err := newHub[T](rdb, channel, pattern, cfg)
	if err != nil {
		return nil, err
	}
	h.beginGap = sync.OnceFunc(func() { h.log.append(&entry[T]{gap: &GapError{Cause: errNotYet}}) })
	h.opening.Go(context.Background(), func(ctx context.Context) {
		for {
			err := subscribe(ctx)
			switch {
			case err == nil:
				h.beginGap()
				return
			case ctx.Err() != nil, errors.Is(err, subscriber.ErrClientClosed):
				return // the hub has ended
			}
			h.reporter("listen")(err) // until it is mended at the server
			life.Sleep(ctx, refusedPause)
		}
	})
	return h, nil
}

// refusedPause is the time after which a hub that was refused, as for a missing permission,
// tries to subscribe again.
const refusedPause = time.Second

// connect makes the connection to one server: on a Cluster to the primary of the channel's
// slot.
func (h *Hub[T]) connect(rdb redis.UniversalClient, channel string, pattern bool) (*subscriber.Subscriber, error) {
	if every := h.cfg.probeEvery(rdb); every > 0 {
		h.probe = newProbe(rdb, channel, every, h.cfg.Liveness, h.reporter("probe"))
	}
	cfg := subscriber.Config{
		Home:      channel,
		Liveness:  h.cfg.Liveness,
		OnMessage: h.receive,
		OnGap:     h.restored,
		OnEnd:     func(error) { h.clientClosed() },
		OnError:   h.reporter("receive"),
	}
	if h.cfg.History.on() && !pattern {
		h.chain = newChain(h, rdb, channel)
		cfg.Tune, cfg.OnError = h.chain.tune, h.chain.lost
	}
	return subscriber.New(rdb, cfg)
}

// subscribeOn subscribes on the connection, and waits until all is confirmed.
func (h *Hub[T]) subscribeOn(ctx context.Context, connection *subscriber.Subscriber, channel string, pattern bool) error {
	subscribe := connection.Subscribe
	if pattern {
		subscribe = connection.PSubscribe
	}
	if err := subscribe(ctx, channel); err != nil {
		return err
	}
	if h.beginGap != nil {
		h.beginGap() // before what the history has
	}
	if h.probe != nil {
		err := connection.Subscribe(ctx, h.probe.channel)
		switch {
		case err == nil:
			h.probe.start(connection)
		case h.cfg.ProbeEvery == 0 && redis.IsPermissionError(err):
			h.probe.report(err) // nobody asked for it
		default:
			return err
		}
	}
	if h.chain != nil {
		return h.chain.begin(ctx, connection)
	}
	return nil
}

// connectAll makes the connections of a pattern, to every primary of a Cluster.
func (h *Hub[T]) connectAll(rdb *redis.ClusterClient, pattern string) *spread {
	return newSpread(spreadConfig{
		rdb: rdb, pattern: pattern, liveness: h.cfg.Liveness,
		receive: h.receive, gap: h.restored, ended: h.clientClosed, report: h.reporter("receive"),
	})
}

func (h *Hub[T]) clientClosed() { h.log.end(h.report.Fail("receive", ErrClientClosed)) }

// Name is Config.Name.
func (h *Hub[T]) Name() string { return h.cfg.Name }

// Subscribe returns a subscription to what the hub receives from now on. On a hub that
// has ended, the subscription has ended too. Close it when it is not read any more.
func (h *Hub[T]) Subscribe() *Subscription[T] {
	return h.subscribe(func(*Subscription[T]) {})
}

// subscribe returns a subscription that begins behind the last entry, unless place moves it.
func (h *Hub[T]) subscribe(place func(*Subscription[T])) *Subscription[T] {
	s := &Subscription[T]{hub: h, closed: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	var ended error
	if s.cursor, ended = h.log.tailCursor(); ended != nil {
		s.err = ended
		return s
	}
	place(s)
	h.subs[s] = struct{}{}
	return s
}

func (h *Hub[T]) subscribers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.subs)
}

// receive takes one message. It and restored run one at a time, on a goroutine that reads a
// connection.
func (h *Hub[T]) receive(m *redis.Message) {
	if h.probe != nil && m.Channel == h.probe.channel {
		h.probe.echo(m.Payload)
		return
	}
	if h.chain != nil && m.Channel == h.chain.channel {
		h.chain.announce(m.Payload)
		return
	}
	if strings.HasPrefix(m.Channel, reserved) {
		return // a wide pattern also matches the library's own
	}
	if h.beginGap != nil {
		h.beginGap()
	}
	h.stats.received.Add(1)
	switch {
	case h.chain != nil:
		h.chain.take(m)
	case h.subscribers() > 0:
		h.put(h.entry(link{}, m.Channel, m.Payload))
	}
}

// entry returns a message for the log.
func (h *Hub[T]) entry(l link, channel, payload string) *entry[T] {
	e := &entry[T]{link: l}
	raw := []byte(payload)
	if v, kind := h.decode(raw); kind == "" {
		e.message = Message[T]{Value: v, Raw: raw, Channel: channel, Position: l.at.String()}
	} else {
		e.bad = &DecodeError{Channel: channel, Raw: raw, Position: l.at.String(), kind: kind}
	}
	return e
}

// put appends a message to the log.
func (h *Hub[T]) put(e *entry[T]) {
	if e.bad != nil {
		h.stats.decodeErrors.Add(1)
	}
	h.log.append(e)
}

// decode returns the value of a payload, or of what kind the error was.
func (h *Hub[T]) decode(raw []byte) (v T, kind string) {
	defer life.Recover(func(panicked error) { // in a method of T
		v, kind = *new(T), "its decoder panicked"
		h.reporter("decode")(panicked)
	})
	v, err := h.json.Decode(raw)
	if err != nil {
		kind = jsoncodec.Kind(err)
	}
	return v, kind
}

// restored appends the gap of a lost connection, after the last message from before the
// loss and ahead of the first from after it.
func (h *Hub[T]) restored(cause error) {
	h.stats.reconnects.Add(1)
	if h.probe != nil {
		h.probe.restored.Add(1)
	}
	if h.chain != nil {
		h.chain.restored(cause)
		return
	}
	h.log.append(&entry[T]{gap: &GapError{Cause: cause}})
}

// reporter returns a function that passes the errors of an operation to OnError.
func (h *Hub[T]) reporter(op string) func(error) {
	return func(err error) {
		h.stats.errors.Add(1)
		h.report.OnError(context.Background(), h.report.Fail(op, err))
	}
}
