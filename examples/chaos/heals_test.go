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

// healing is the channel of the events that are kept.
const healing = "conversation:healing"

// Heals publishes numbered messages from each member on a channel with a history. A reader
// of each member's hub must miss none of them, and receive them in their order.
type heals struct {
	history pubsub.History
	listen  func(ctx context.Context, topic *pubsub.Topic[tick]) (stream, error)
	rd      *round
	owner   string // the node of a Cluster that has the channel's slot at the beginning
	topics  map[*member]*pubsub.Topic[tick]
	hubs    []stream
	sent    map[string]*outbox
	readers map[*member]*healed
	reads   sync.WaitGroup
}

// Healed is what a reader has received.
type healed struct {
	name string
	mu   sync.Mutex
	gaps []error
	got  map[string]map[int]place // by publisher and number
	last int                      // how many messages were received
}

// A place is where among all that a reader has received a message stands.
type place struct{ at, gaps int }

func newHeals() *heals {
	return &heals{
		history: pubsub.History{Messages: 50_000, Age: 5 * time.Minute},
		listen: func(ctx context.Context, topic *pubsub.Topic[tick]) (stream, error) {
			hub, err := topic.Listen(ctx)
			return realStream{hub}, err
		},
	}
}

func (h *heals) start(rd *round) {
	h.rd, h.topics, h.sent, h.readers = rd, map[*member]*pubsub.Topic[tick]{}, map[string]*outbox{}, map[*member]*healed{}
	h.owner = rd.topology.owner(healing)
	ctx, cancel := context.WithTimeout(rd.t.Context(), 10*time.Second)
	defer cancel()
	for _, m := range rd.members {
		topic, err := pubsub.NewTopic[tick](m.rdb, healing, pubsub.Config{Liveness: time.Second, History: h.history})
		if err != nil {
			rd.t.Fatal(err)
		}
		hub, err := h.listen(ctx, topic)
		if err != nil {
			rd.t.Fatal(err)
		}
		r := &healed{name: "reader of " + m.name, got: map[string]map[int]place{}}
		h.topics[m], h.sent[m.name] = topic, &outbox{confirmed: map[int]bool{}}
		h.hubs, h.readers[m] = append(h.hubs, hub), r
		sub := hub.Subscribe()
		h.reads.Go(func() { h.read(r, sub) })
	}
	rd.each(1, 3*time.Millisecond, func(_ *rand.Rand, m *member) {
		rd.call("Publish", func(ctx context.Context) { _, _ = h.publish(ctx, m) })
	})
}

// publish publishes the next message of m, and returns its number.
func (h *heals) publish(ctx context.Context, m *member) (int, error) {
	out := h.sent[m.name]
	out.mu.Lock()
	defer out.mu.Unlock()
	out.last++
	_, err := h.topics[m].Publish(ctx, tick{m.name, out.last})
	if err == nil {
		out.confirmed[out.last] = true
	}
	return out.last, err
}

// read reads until the hub has ended.
func (h *heals) read(r *healed, sub reading) {
	for {
		m, err := sub.Next(context.Background())
		r.mu.Lock()
		gap := (*pubsub.GapError)(nil)
		switch {
		case errors.As(err, &gap):
			r.gaps = append(r.gaps, gap)
		case err == nil:
			h.take(r, m.Value)
		case !errors.Is(err, pubsub.ErrClosed):
			h.rd.violated(healedEvents, "the %s got %v", r.name, err)
		}
		r.mu.Unlock()
		if err != nil && gap == nil {
			return
		}
	}
}

// mayGap reports whether the server may have been replaced, or lost data. On a Cluster it
// was replaced if the channel's slot has another owner, or had one meanwhile.
func (h *heals) mayGap() bool {
	s := h.rd.topology
	return h.rd.window.mayLose() || s.replaced() || s.owner(healing) != h.owner
}

// take notes a message. It needs r.mu.
func (h *heals) take(r *healed, t tick) {
	if r.got[t.From] == nil {
		r.got[t.From] = map[int]place{}
	}
	if _, again := r.got[t.From][t.Seq]; again {
		h.rd.violated(healedEvents, "the %s got message %d of %s again", r.name, t.Seq, t.From)
	}
	r.last++
	r.got[t.From][t.Seq] = place{r.last, len(r.gaps)}
}

// works publishes a message and waits until the hub of m receives it.
func (h *heals) works(ctx context.Context, m *member) error {
	seq, err := h.publish(ctx, m)
	if err != nil {
		return err
	}
	for r := h.readers[m]; sleep(ctx, time.Millisecond); {
		if r.received(m.name, seq) {
			return nil
		}
	}
	return ctx.Err()
}

func (r *healed) received(from string, seq int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.got[from][seq]
	return ok
}

func (h *heals) check(rd *round) {
	for _, m := range rd.members {
		rd.call("Publish", func(ctx context.Context) {
			if _, err := h.publish(ctx, m); err != nil {
				rd.violated(healedEvents, "the last message was not published: %v", err)
			}
		})
	}
	mayGap := h.mayGap()
	for _, r := range h.readers {
		for from, out := range h.sent {
			h.checkReader(r, from, out)
		}
		if !mayGap {
			h.checkGaps(r)
		}
	}
}

// checkReader checks that r has received what one publisher confirmed, or was told of a gap
// in its place, in the order in which it was confirmed. One that was not confirmed may come
// late.
func (h *heals) checkReader(r *healed, from string, out *outbox) {
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if r.received(from, out.last) {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	lost := 0
	var before place // of the newest confirmed message that was received
	for n := 1; n <= out.last; n++ {
		p, received := r.got[from][n]
		switch {
		case !out.confirmed[n]:
		case !received:
			lost++
		case p.at < before.at:
			h.rd.violated(healedEvents, "the %s got message %d of %s before an older one", r.name, n, from)
		default:
			if lost > 0 && p.gaps == before.gaps {
				h.rd.violated(healedEvents, "the %s missed %d messages of %s before %d without a gap", r.name, lost, from, n)
			}
			before, lost = p, 0
		}
	}
	if lost > 0 {
		h.rd.violated(healedEvents, "the %s did not get the last %d messages of %s", r.name, lost, from)
	}
	h.rd.checked(healedEvents, len(r.got[from]))
}

// checkGaps checks that r was told of no gap.
func (h *heals) checkGaps(r *healed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, gap := range r.gaps {
		h.rd.violated(healedEvents, "the %s was told of a gap: %v", r.name, gap)
	}
}

func (h *heals) close() error {
	var errs []error
	for i, hub := range h.hubs {
		if err := hub.Close(); err != nil {
			errs = append(errs, fmt.Errorf("hub %d: %w", i, err))
		}
	}
	h.reads.Wait()
	return errors.Join(errs...)
}
