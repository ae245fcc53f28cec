package pubsub_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

var benchEvent = Event{
	ConversationID: "617933e2-fc8c-4f7a-9545-046652db0b95", Event: "message_received",
	Data: map[string]any{"role": "user", "text": "E amanhã? Vai chover à tarde?"},
}

// From Publish to the return of Next, through Redis on loopback.
func BenchmarkPublishToReceive(b *testing.B) {
	for _, readers := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint("subscriptions=", readers), func(b *testing.B) {
			topic := newTopic[Event](b, redistest.Real(b).Client(), "bench")
			hub := listen(b, topic)
			var idle sync.WaitGroup
			for range readers - 1 {
				sub := hub.Subscribe()
				idle.Go(func() {
					for range sub.All(context.Background()) {
						continue
					}
				})
			}
			sub := hub.Subscribe()
			took := make([]time.Duration, 0, b.N)
			for b.Loop() {
				start := time.Now()
				if _, err := topic.Publish(b.Context(), benchEvent); err != nil {
					b.Fatal(err)
				}
				if _, err := sub.Next(b.Context()); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/median")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/p99")
			hub.Close()
			idle.Wait()
		})
	}
}

// Messages through Redis to every subscription of one hub. An op is a message;
// stuck is one more subscription that never reads.
func BenchmarkFanOut(b *testing.B) {
	for _, readers := range []int{1, 100, 1000, 10_000} {
		b.Run(fmt.Sprint("subscriptions=", readers), func(b *testing.B) {
			topic := newTopic[Event](b, redistest.Real(b).Client(), "bench", buffer(1<<16))
			hub := listen(b, topic)
			hub.Subscribe() // stuck
			var reading sync.WaitGroup
			for range readers {
				sub := hub.Subscribe()
				reading.Go(func() {
					for read := 0; read < b.N; read++ {
						if _, err := sub.Next(context.Background()); err != nil {
							b.Error(err)
							return
						}
					}
					sub.Close()
				})
			}
			batch := make([]Event, 100)
			for i := range batch {
				batch[i] = benchEvent
			}
			b.ResetTimer()
			for sent := 0; sent < b.N; sent += len(batch) {
				if err := topic.PublishAll(b.Context(), batch[:min(len(batch), b.N-sent)]...); err != nil {
					b.Fatal(err)
				}
			}
			reading.Wait()
			b.ReportMetric(float64(hub.Stats().Delivered)/b.Elapsed().Seconds(), "deliveries/s")
			hub.Close()
		})
	}
}

// What one more subscription takes, read or not.
func BenchmarkSubscribe(b *testing.B) {
	topic := newTopic[Event](b, redistest.Mini(b).Client(), "bench")
	hub := listen(b, topic)
	subs := make([]*pubsub.Subscription[Event], 0, b.N)
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range b.N {
		subs = append(subs, hub.Subscribe())
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/subscription")
	runtime.KeepAlive(subs)
}
