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

// ticks is the channel of the events.
const ticks = "conversation:ticks"

// tickBuffer is short, so that a slow reader misses some.
const tickBuffer = 64

// Events publishes numbered messages from each member. Some readers keep up, some are
// slow, and some read nothing until the end.
type events struct {
	listen func(ctx context.Context, m *member) (stream, error)
	rd     *round
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

// An outbox has what is known of the messages of one publisher.
type outbox struct {
	mu        sync.Mutex
	last      int
	confirmed map[int]bool // accepted by Redis: each reader must receive them, or a gap must cover them
}

// A reader is a subscription with a record of what it has received and missed.
type reader struct {
	name     string
	stuck    bool
	sub      reading
	next     map[string]int // the next expected number, by publisher
	holes    []hole
	missed   uint64 // the sum of the numbers in gaps
	unknown  int    // gaps without a number
	received int
	gapped   map[string]bool // a gap was reported since the last message of that publisher
	before   map[string]int  // on a Cluster: what that publisher had sent at the last gap
}

// A hole is a run of messages of one publisher that were not received, before one that
// was.
type hole struct {
	from      string
	low, high int  // low to high-1 were not received
	gapped    bool // a gap was reported since the message before low
}

func newEvents() *events {
	return &events{listen: func(ctx context.Context, m *member) (stream, error) {
		if m.remote != nil {
			return remoteStream{m.remote}, nil
		}
		topic, err := newTopic(m)
		if err != nil {
			return nil, err
		}
		hub, err := topic.Listen(ctx)
		return realStream{hub}, err
	}}
}

func newTopic(m *member) (*pubsub.Topic[tick], error) {
	return pubsub.NewTopic[tick](m.rdb, ticks, pubsub.Config{Buffer: tickBuffer, Liveness: time.Second, ProbeEvery: 500 * time.Millisecond})
}

func (e *events) start(rd *round) {
	e.rd, e.topics, e.hubs, e.sent = rd, map[*member]*pubsub.Topic[tick]{}, map[*member]stream{}, map[string]*outbox{}
	ctx, cancel := context.WithTimeout(rd.t.Context(), 10*time.Second)
	defer cancel()
	for _, m := range rd.members {
		topic, err := newTopic(m)
		if err != nil {
			rd.t.Fatal(err)
		}
		hub, err := e.listen(ctx, m)
		if err != nil {
			rd.t.Fatal(err)
		}
		e.topics[m], e.hubs[m], e.sent[m.name] = topic, hub, &outbox{confirmed: map[int]bool{}}
		for _, name := range []string{"quick", "slow", "stuck"} {
			e.all = append(e.all, &reader{
				name: name + " reader of " + m.name, stuck: name == "stuck", sub: hub.Subscribe(),
				next: map[string]int{}, gapped: map[string]bool{}, before: map[string]int{},
			})
		}
	}
	for _, m := range rd.members {
		rd.forever(4*time.Millisecond, func(*rand.Rand) { e.publish(m) })
	}
	for i, r := range e.all {
		if r.stuck {
			continue
		}
		e.reads.Go(func() {
			for r.take(e, time.Minute) {
				if i%3 == 1 { // a slow reader, until the workloads stop
					sleep(rd.stop, 40*time.Millisecond)
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
	e.rd.call("Publish", func(ctx context.Context) {
		began := time.Now()
		receivers, err := e.topics[m].Publish(ctx, tick{m.name, seq})
		// A primary that was replaced unawares may accept a message that nobody hears.
		sure := err == nil && (!e.rd.topology.replaced() || receivers > 0 && e.rd.window.quiet(began.Add(-time.Second), time.Now()))
		if sure {
			box.mu.Lock()
			box.confirmed[seq] = true
			box.mu.Unlock()
		}
	})
}

// take reads and records one message or gap. It returns false after the last one, or
// when nothing came within timeout.
func (r *reader) take(e *events, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	m, err := r.sub.Next(ctx)
	var gap *pubsub.GapError
	switch {
	case err == nil:
		r.received++
		r.record(e, m.Value)
	case errors.As(err, &gap):
		if gap.Cause != nil {
			r.unknown++
		}
		r.missed += gap.Missed
		for _, m := range e.rd.members {
			r.gapped[m.name] = true
			if e.rd.topology.cluster != nil {
				r.before[m.name] = e.sent[m.name].sentSoFar()
			}
		}
	default:
		return false
	}
	return true
}

func (r *reader) record(e *events, t tick) {
	if e.sent[t.From] == nil {
		return // a message of works
	}
	expected := max(1, r.next[t.From])
	if t.Seq < expected && t.Seq <= r.before[t.From] {
		return // the node behind the gap got it late from the one before
	}
	if t.Seq < expected {
		e.rd.violated(accountedEvents, "the %s got message %d of %s again", r.name, t.Seq, t.From)
		return
	}
	if t.Seq > expected {
		r.holes = append(r.holes, hole{t.From, expected, t.Seq, r.gapped[t.From]})
	}
	r.gapped[t.From] = false
	r.next[t.From] = t.Seq + 1
}

// sentSoFar returns the number of the last message.
func (b *outbox) sentSoFar() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// confirmedIn counts the messages in a hole that Redis has accepted.
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

// works publishes a message and waits until the hub of m receives it.
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

// check shuts the hubs down and checks that each message that Redis accepted was
// received by each reader, or reported to it as missed.
func (e *events) check(rd *round) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, m := range rd.members { // afterwards everything that was published before has arrived
		if err := e.works(ctx, m); err != nil {
			rd.violated(recovery, "the hub of %s receives nothing: %v", m.name, err)
		}
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

// balance checks the messages that the reader did not receive against its gaps.
func (r *reader) balance(e *events) {
	for from, box := range e.sent {
		r.holes = append(r.holes, hole{from, max(1, r.next[from]), box.last + 1, r.gapped[from]})
	}
	skipped := 0
	for _, h := range r.holes {
		n := e.sent[h.from].confirmedIn(h)
		skipped += n
		if n > 0 && !h.gapped {
			e.rd.violated(accountedEvents, "the %s missed %d messages of %s before %d without a gap", r.name, n, h.from, h.high)
		}
	}
	e.rd.checked(accountedEvents, r.received+skipped)
	if r.unknown == 0 && uint64(skipped) > r.missed {
		e.rd.violated(accountedEvents, "the %s did not receive %d messages, but its gaps count %d", r.name, skipped, r.missed)
	}
}

func (e *events) close() error {
	var errs []error
	for _, hub := range e.hubs {
		errs = append(errs, hub.Close())
	}
	return errors.Join(errs...)
}
