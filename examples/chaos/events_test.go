package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/convkit/rediskit/pubsub"
)

// A tick is an event: the number of a publisher's message.
type tick struct {
	From string
	Seq  int
}

// tickBuffer is short, so that a slow reader misses some.
const tickBuffer = 64

// Events has members publish numbered messages, and readers that keep up, that
// are slow, and that are stuck until the end.
type events struct {
	listen func(ctx context.Context, m *member) (stream, error)
	w      *world
	topics map[*member]*pubsub.Topic[tick]
	hubs   map[*member]stream
	sent   map[string]*outbox
	all    []*reader
	reads  sync.WaitGroup
}

// A stream is what the model needs of a Hub.
type stream interface {
	Subscribe() reading
	Shutdown(ctx context.Context) error
	Close() error
}

// reading is what the model needs of a Subscription.
type reading interface {
	Next(ctx context.Context) (pubsub.Message[tick], error)
}

type realStream struct{ *pubsub.Hub[tick] }

func (h realStream) Subscribe() reading { return h.Hub.Subscribe() }

// An outbox is what one publisher knows of its messages.
type outbox struct {
	mu        sync.Mutex
	last      int
	confirmed map[int]bool // taken by Redis, of which a listener must get account
}

// A reader is a subscription with its account.
type reader struct {
	name     string
	stuck    bool
	sub      reading
	next     map[string]int // expected, by publisher
	holes    []hole
	missed   uint64 // reported
	unknown  int    // gaps without a number
	received int
	covered  map[string]bool // a gap was told since the last message of that publisher
}

// A hole is a run of a publisher's messages that did not come, before one that
// did.
type hole struct {
	from      string
	low, high int  // high came
	told      bool // of a gap, since the message before low
}

func newEvents() *events {
	return &events{listen: func(ctx context.Context, m *member) (stream, error) {
		topic, err := newTopic(m)
		if err != nil {
			return nil, err
		}
		hub, err := topic.Listen(ctx)
		return realStream{hub}, err
	}}
}

func newTopic(m *member) (*pubsub.Topic[tick], error) {
	return pubsub.NewTopic[tick](m.rdb, "conversation:ticks", pubsub.Config{Buffer: tickBuffer, Liveness: time.Second, ProbeEvery: 500 * time.Millisecond})
}

func (e *events) start(w *world) {
	e.w, e.topics, e.hubs, e.sent = w, map[*member]*pubsub.Topic[tick]{}, map[*member]stream{}, map[string]*outbox{}
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	for _, m := range w.members {
		topic, err := newTopic(m)
		if err != nil {
			w.t.Fatal(err)
		}
		hub, err := e.listen(ctx, m)
		if err != nil {
			w.t.Fatal(err)
		}
		e.topics[m], e.hubs[m], e.sent[m.name] = topic, hub, &outbox{confirmed: map[int]bool{}}
		for _, name := range []string{"quick", "slow", "stuck"} {
			e.all = append(e.all, &reader{
				name: name + " reader of " + m.name, stuck: name == "stuck", sub: hub.Subscribe(),
				next: map[string]int{}, covered: map[string]bool{},
			})
		}
	}
	for _, m := range w.members {
		w.forever(4*time.Millisecond, func(*rand.Rand) { e.publish(m) })
	}
	for i, r := range e.all {
		if r.stuck {
			continue
		}
		e.reads.Go(func() {
			for r.take(e, time.Minute) {
				if i%3 == 1 { // slow: it falls behind until the workloads stop
					sleep(w.stop, 40*time.Millisecond)
				}
			}
		})
	}
}

func (e *events) publish(m *member) {
	box := e.sent[m.name]
	box.mu.Lock()
	box.last++
	seq := box.last
	box.mu.Unlock()
	e.w.call("Publish", func(ctx context.Context) {
		began := time.Now()
		receivers, err := e.topics[m].Publish(ctx, tick{m.name, seq})
		// A cluster's bus and an old master may lose a message that they took.
		sure := err == nil && (e.w.stage.single() || receivers > 0 && e.w.weather.calm(began.Add(-time.Second), time.Now()))
		if sure {
			box.mu.Lock()
			box.confirmed[seq] = true
			box.mu.Unlock()
		}
	})
}

// take reads one message into the account; it says whether there may be more.
func (r *reader) take(e *events, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	m, err := r.sub.Next(ctx)
	var gap *pubsub.GapError
	switch {
	case err == nil:
		r.received++
		r.account(e, m.Value)
	case errors.As(err, &gap):
		if gap.Cause != nil {
			r.unknown++
		}
		r.missed += gap.Missed
		for _, m := range e.w.members {
			r.covered[m.name] = true
		}
	default:
		return false
	}
	return true
}

func (r *reader) account(e *events, t tick) {
	if e.sent[t.From] == nil {
		return // of works
	}
	expected := max(1, r.next[t.From])
	if t.Seq < expected {
		e.w.violated(toldEvents, "the %s got message %d of %s again", r.name, t.Seq, t.From)
		return
	}
	if t.Seq > expected {
		r.holes = append(r.holes, hole{t.From, expected, t.Seq, r.covered[t.From]})
	}
	r.covered[t.From] = false
	r.next[t.From] = t.Seq + 1
}

// confirmedIn counts the messages in a hole that Redis took.
func (b *outbox) confirmedIn(h hole) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for seq := h.low; seq < h.high; seq++ {
		if b.confirmed[seq] {
			n++
		}
	}
	return n
}

// works publishes and waits until each hub hears it.
func (e *events) works(ctx context.Context, m *member) error {
	sub := e.hubs[m].Subscribe()
	if closer, ok := sub.(interface{ Close() }); ok {
		defer closer.Close()
	}
	mine := fmt.Sprint("works ", rand.Uint64())
	if _, err := e.topics[m].Publish(ctx, tick{From: mine}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	for {
		got, err := sub.Next(ctx)
		if err == nil && got.Value.From == mine {
			return nil
		}
		if err != nil && ctx.Err() != nil {
			return err
		}
	}
}

// check ends the hubs and balances the accounts: each message that Redis took
// was received, or reported as missed.
func (e *events) check(w *world) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, m := range w.members { // what was published before has then arrived
		if err := e.works(ctx, m); err != nil {
			w.violated(recovery, "the hub of %s does not hear: %v", m.name, err)
		}
	}
	if !w.stage.single() { // but on a Cluster, whose nodes keep no order between them
		time.Sleep(300 * time.Millisecond)
	}
	var all sync.WaitGroup
	for _, hub := range e.hubs {
		all.Go(func() { _ = hub.Shutdown(ctx) })
	}
	for _, r := range e.all {
		if r.stuck {
			all.Go(func() {
				for r.take(e, time.Second) {
				}
			})
		}
	}
	all.Wait()
	e.reads.Wait()
	for _, r := range e.all {
		r.balance(e)
	}
}

func (r *reader) balance(e *events) {
	for from, box := range e.sent {
		r.holes = append(r.holes, hole{from, max(1, r.next[from]), box.last + 1, r.covered[from]})
	}
	skipped := 0
	for _, h := range r.holes {
		n := e.sent[h.from].confirmedIn(h)
		skipped += n
		if n > 0 && !h.told {
			e.w.violated(toldEvents, "the %s missed %d messages of %s before %d and was told nothing", r.name, n, h.from, h.high)
		}
	}
	e.w.checked(toldEvents, r.received+skipped)
	if r.unknown == 0 && uint64(skipped) > r.missed {
		e.w.violated(toldEvents, "the %s did not get %d messages and was told of %d", r.name, skipped, r.missed)
	}
}

func (e *events) close() error {
	var errs []error
	for _, hub := range e.hubs {
		errs = append(errs, hub.Close())
	}
	return errors.Join(errs...)
}
