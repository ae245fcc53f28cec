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
// of each member's hub must miss none of them.
type heals struct {
	history pubsub.History
	rd      *round
	topics  map[*member]*pubsub.Topic[tick]
	hubs    []*pubsub.Hub[tick]
	sent    map[string]*outbox
	all     []*healed
	reads   sync.WaitGroup
}

// Healed is what a reader has received.
type healed struct {
	name string
	mu   sync.Mutex
	gaps int
	got  map[string]map[int]int // for each publisher and message the number of gaps before it
}

func newHeals() *heals {
	return &heals{history: pubsub.History{Messages: 50_000, Age: 5 * time.Minute}}
}

func (h *heals) start(rd *round) {
	h.rd, h.topics, h.sent = rd, map[*member]*pubsub.Topic[tick]{}, map[string]*outbox{}
	ctx, cancel := context.WithTimeout(rd.t.Context(), 10*time.Second)
	defer cancel()
	for _, m := range rd.members {
		topic, err := pubsub.NewTopic[tick](m.rdb, healing, pubsub.Config{Liveness: time.Second, History: h.history})
		if err != nil {
			rd.t.Fatal(err)
		}
		hub, err := topic.Listen(ctx)
		if err != nil {
			rd.t.Fatal(err)
		}
		r := &healed{name: "reader of " + m.name, got: map[string]map[int]int{}}
		h.topics[m], h.sent[m.name] = topic, &outbox{confirmed: map[int]bool{}}
		h.hubs, h.all = append(h.hubs, hub), append(h.all, r)
		sub := hub.Subscribe()
		h.reads.Go(func() { h.read(r, sub) })
	}
	rd.each(1, 3*time.Millisecond, func(_ *rand.Rand, m *member) {
		rd.call("Publish", func(ctx context.Context) { _ = h.publish(ctx, m) })
	})
}

// publish publishes the next message of m.
func (h *heals) publish(ctx context.Context, m *member) error {
	out := h.sent[m.name]
	out.mu.Lock()
	defer out.mu.Unlock()
	out.last++
	_, err := h.topics[m].Publish(ctx, tick{m.name, out.last})
	if err == nil {
		out.confirmed[out.last] = true
	}
	return err
}

// read reads until the hub has ended.
func (h *heals) read(r *healed, sub *pubsub.Subscription[tick]) {
	for m, err := range sub.All(context.Background()) {
		r.mu.Lock()
		if gap := (*pubsub.GapError)(nil); errors.As(err, &gap) {
			r.gaps++
			if !h.mayGap() {
				h.rd.violated(healedEvents, "the %s was told of a gap: %v", r.name, gap)
			}
		} else if err != nil {
			h.rd.violated(healedEvents, "the %s got %v", r.name, err)
		} else {
			h.take(r, m.Value)
		}
		r.mu.Unlock()
	}
}

// mayGap reports whether the server may have been replaced, or lost data.
func (h *heals) mayGap() bool {
	s := h.rd.topology
	return h.rd.window.mayLose() || s.replaced() || s.cluster != nil
}

// take notes a message. It needs r.mu.
func (h *heals) take(r *healed, t tick) {
	if r.got[t.From] == nil {
		r.got[t.From] = map[int]int{}
	}
	if _, again := r.got[t.From][t.Seq]; again {
		h.rd.violated(healedEvents, "the %s got message %d of %s again", r.name, t.Seq, t.From)
	}
	r.got[t.From][t.Seq] = r.gaps
}

func (h *heals) works(ctx context.Context, m *member) error { return h.publish(ctx, m) }

func (h *heals) check(rd *round) {
	for _, m := range rd.members {
		rd.call("Publish", func(ctx context.Context) {
			if err := h.publish(ctx, m); err != nil {
				rd.violated(healedEvents, "the last message was not published: %v", err)
			}
		})
	}
	for _, r := range h.all {
		for from, out := range h.sent {
			h.checkReader(r, from, out)
		}
	}
}

// checkReader checks that r has received what one publisher confirmed, or was told of a gap
// in its place.
func (h *heals) checkReader(r *healed, from string, out *outbox) {
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		r.mu.Lock()
		_, arrived := r.got[from][out.last]
		r.mu.Unlock()
		if arrived {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	gaps, lost := 0, 0 // gaps before the newest message that was received
	for n := 1; n <= out.last; n++ {
		before, received := r.got[from][n]
		switch {
		case received:
			if lost > 0 && before == gaps {
				h.rd.violated(healedEvents, "the %s missed %d messages of %s before %d without a gap", r.name, lost, from, n)
			}
			gaps, lost = max(gaps, before), 0
		case out.confirmed[n]:
			lost++
		}
	}
	if lost > 0 {
		h.rd.violated(healedEvents, "the %s did not get the last %d messages of %s", r.name, lost, from)
	}
	h.rd.checked(healedEvents, len(r.got[from]))
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
