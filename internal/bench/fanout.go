package main

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/perf/benchfmt"

	"github.com/convkit/rediskit/pubsub"
)

// An event is a message of 150 bytes, like those that services publish.
type event struct {
	ConversationID string         `json:"conversation_id"`
	Event          string         `json:"event"`
	Data           map[string]any `json:"data,omitempty"`
}

var anEvent = event{
	ConversationID: "617933e2-fc8c-4f7a-9545-046652db0b95", Event: "message_received",
	Data: map[string]any{"role": "user", "text": "E amanhã? Vai chover à tarde?"},
}

// An audience is n subscribers of one channel. Each calls received for each message, once
// it has the decoded message.
type audience struct {
	publish func(ctx context.Context, events []event) error
	leave   func()
}

var audiences = []struct {
	by   string
	open func(a *arena, n int, received func()) audience
}{
	{"rediskit", hubAudience},
	{"connection-per-subscriber", connectedAudience},
}

// hubAudience has n subscriptions of one Hub.
func hubAudience(a *arena, n int, received func()) audience {
	topic := must(pubsub.NewTopic[event](a.rediskit(), "hub", pubsub.Config{}))
	hub := must(topic.Listen(a.ctx))
	var reading sync.WaitGroup
	for range n {
		sub := hub.Subscribe()
		reading.Go(func() {
			for _, err := range sub.All(a.ctx) {
				if err == nil {
					received()
				}
			}
		})
	}
	return audience{
		publish: func(ctx context.Context, events []event) error { return topic.PublishAll(ctx, events...) },
		leave:   func() { _ = hub.Close(); reading.Wait() },
	}
}

// connectedAudience has n subscriptions of go-redis, each with a connection of its own.
func connectedAudience(a *arena, n int, received func()) audience {
	rdb := a.goRedis()
	subs := make([]*redis.PubSub, n)
	var reading sync.WaitGroup
	for i := range subs {
		sub := rdb.Subscribe(a.ctx, "connections")
		subs[i] = sub
		_ = must(sub.Receive(a.ctx)) // confirmed
		reading.Go(func() {
			for {
				m, err := sub.ReceiveMessage(a.ctx)
				if err != nil {
					return
				}
				var e event
				if json.Unmarshal([]byte(m.Payload), &e) == nil {
					received()
				}
			}
		})
	}
	return audience{
		publish: func(ctx context.Context, events []event) error {
			_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
				for _, e := range events {
					p.Publish(ctx, "connections", toJSON(e))
				}
				return nil
			})
			return err
		},
		leave: func() {
			for _, sub := range subs {
				_ = sub.Close()
			}
			reading.Wait()
		},
	}
}

// fanOut publishes bursts of messages. It waits until all subscribers have received a
// burst before it publishes the next. A burst takes from Publish until the last subscriber
// has received it.
func fanOut(question string, burst, subscribers int) contest {
	name := fmt.Sprintf("%s/subscribers=%d", question, subscribers)
	return contest{name: name, enter: func(a *arena) []contestant {
		subscribers := a.unlessShort(subscribers)
		var entered []contestant
		for _, by := range audiences {
			var missing atomic.Int64
			all := make(chan struct{}, 1)
			audience := by.open(a, subscribers, func() {
				if missing.Add(-1) == 0 {
					all <- struct{}{}
				}
			})
			a.onClose(audience.leave)
			events := slices.Repeat([]event{anEvent}, burst)
			entered = append(entered, contestant{by: by.by, round: func(ctx context.Context) ([]benchfmt.Value, error) {
				var took []time.Duration
				began := time.Now()
				for len(took) == 0 || time.Since(began) < a.slice {
					sent := time.Now()
					missing.Store(int64(subscribers * burst))
					if err := audience.publish(ctx, events); err != nil {
						return nil, err
					}
					select {
					case <-all:
					case <-time.After(timeout):
						return nil, fmt.Errorf("%d deliveries are missing", missing.Load())
					}
					took = append(took, time.Since(sent))
				}
				deliveries := float64(subscribers * burst * len(took))
				return []benchfmt.Value{
					{Value: float64(median(took)), Unit: "ns/op"},
					{Value: deliveries / time.Since(began).Seconds(), Unit: "deliveries/s"},
				}, nil
			}})
		}
		return entered
	}}
}

// subscriptions measures how much memory of this process a subscriber uses: heap and
// stacks.
func subscriptions(name string) contest {
	return contest{name: name, enter: func(a *arena) []contestant {
		n := a.unlessShort(1000)
		var entered []contestant
		for _, by := range audiences {
			entered = append(entered, contestant{by: by.by, round: func(context.Context) ([]benchfmt.Value, error) {
				before := memory()
				audience := by.open(a, n, func() {})
				took := memory() - before
				audience.leave()
				return []benchfmt.Value{{Value: took / float64(n), Unit: "B/subscriber"}}, nil
			}})
		}
		return entered
	}}
}

func memory() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second run frees what was in sync.Pools
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
