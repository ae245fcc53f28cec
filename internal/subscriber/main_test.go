package subscriber

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// A record is what the callbacks of a Subscriber received, in order.
type record struct {
	mu     sync.Mutex
	events []string
	errs   []error
}

const gap = "gap"

func (r *record) add(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// failures returns what OnError received.
func (r *record) failures() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errs)
}

func (r *record) count(event string) int {
	n := 0
	for _, e := range r.all() {
		if e == event {
			n++
		}
	}
	return n
}

func (r *record) config() Config {
	return Config{
		OnMessage: func(m *redis.Message) { r.add(m.Payload) },
		OnGap:     func(error) { r.add(gap) },
		OnEnd:     func(err error) { r.add("end: " + err.Error()) },
		OnError: func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.errs = append(r.errs, err)
		},
	}
}

// await waits until the events are want.
func (r *record) await(t *testing.T, want ...string) {
	t.Helper()
	for range 5000 {
		if slices.Equal(r.all(), want) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("events %q, want %q", r.all(), want)
}

func open(t *testing.T, rdb redis.UniversalClient, set ...func(*Config)) (*Subscriber, *record) {
	t.Helper()
	r := &record{}
	cfg := r.config()
	for _, f := range set {
		f(&cfg)
	}
	s, err := New(rdb, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, r
}

func liveness(d time.Duration) func(*Config) { return func(cfg *Config) { cfg.Liveness = d } }

func subscribe(t *testing.T, s *Subscriber, channels ...string) {
	t.Helper()
	if err := s.Subscribe(within(t), channels...); err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// publish fails the test unless receivers got payload.
func publish(t *testing.T, rdb redis.UniversalClient, channel, payload string, receivers int64) {
	t.Helper()
	if n, err := rdb.Publish(t.Context(), channel, payload).Result(); err != nil || n != receivers {
		t.Errorf("publish %s: %d receivers, %v; want %d", payload, n, err, receivers)
	}
}

// through returns a client whose connections pass proxy.
func through(s *redistest.Server, proxy *redistest.Proxy, set ...func(*redis.Options)) *redis.Client {
	return s.Client(append([]func(*redis.Options){func(o *redis.Options) { o.Addr = proxy.Addr() }}, set...)...)
}
