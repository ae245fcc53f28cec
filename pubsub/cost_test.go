package pubsub_test

import (
	"bytes"
	"encoding/json"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

// It is not parallel: it counts the goroutines of all Hubs.
func TestAHubHasTwoGoroutinesAndAThirdForItsProbe(t *testing.T) { //nolint:paralleltest // see above
	for name, tc := range map[string]struct {
		probeEvery time.Duration
		goroutines int
	}{"without a probe": {0, 2}, "with a probe": {time.Hour, 3}} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Real(t)
			hub := listen(t, newTopic[int](t, s.Client(), s.Prefix(), func(c *pubsub.Config) { c.ProbeEvery = tc.probeEvery }))
			for range 100 {
				defer hub.Subscribe().Close()
			}
			redistest.Eventually(t, func() bool {
				stacks := make([]byte, 1<<20)
				stacks = stacks[:runtime.Stack(stacks, true)]
				return bytes.Count(stacks, []byte("created by github.com/convkit/rediskit/internal/life.")) == tc.goroutines
			}, "the goroutines that a Life of this library owns")
		})
	}
}

// decoded counts the decodings of all its values.
type decoded struct{ N int }

var decodings atomic.Int64

func (d *decoded) UnmarshalJSON(b []byte) error {
	decodings.Add(1)
	type plain decoded
	return json.Unmarshal(b, (*plain)(d))
}

func TestAMessageIsDecodedOnce(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	topic := newTopic[decoded](t, s.Client(), s.Prefix())
	hub := listen(t, topic)
	const sent = 10
	before := decodings.Load()
	var subs []*pubsub.Subscription[decoded]
	for range 20 {
		subs = append(subs, hub.Subscribe())
	}
	for i := range sent {
		publish(t, topic, decoded{i})
	}
	for _, sub := range subs {
		for i := range sent {
			if m, err := sub.Next(t.Context()); err != nil || m.Value.N != i {
				t.Fatalf("got %+v, %v", m.Value, err)
			}
		}
	}
	if n := decodings.Load() - before; n != sent {
		t.Errorf("%d decodings of %d messages for %d subscriptions", n, sent, len(subs))
	}
}
