package sender_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

// queued runs 20 reads that share one pipeline, and returns their errors.
func queued(t *testing.T, g *gate, c *sender.Sender) []error {
	t.Helper()
	others := g.fill(t, c, sender.Read, "busy")
	errs := make([]error, 20)
	for i := range errs {
		others.Go(func() { _, errs[i] = get(t.Context(), c, "queued") })
	}
	redistest.Eventually(t, func() bool { return c.Queued() == len(errs) }, "all are queued")
	close(g.open)
	others.Wait()
	return errs
}

// onQueued is a hook for the pipeline of queued.
func onQueued(f func(ctx context.Context, next func() error) error) hook {
	return func(ctx context.Context, cmds []redis.Cmder, next func() error) error {
		if len(cmds) < 20 {
			return next()
		}
		return f(ctx, next)
	}
}

func TestAHookThatRefusesFailsEveryCall(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	g, c := newGate(rdb), sender.New(rdb, false)
	refused := errors.New("refused")
	rdb.AddHook(onQueued(func(context.Context, func() error) error { return refused }))
	for i, err := range queued(t, g, c) {
		if err != refused {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func TestAHookThatDoesNotReturnHarmsOnlyItsPipeline(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){
		"panic":  func() { panic("boom") },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb := redistest.Mini(t).Client()
			g, c := newGate(rdb), sender.New(rdb, false)
			var once sync.Once
			rdb.AddHook(onQueued(func(_ context.Context, next func() error) error {
				once.Do(end)
				return next()
			}))
			for i, err := range queued(t, g, c) {
				if err == nil || err == redis.Nil {
					t.Errorf("call %d: %v, though it was not sent", i, err)
				}
			}
			g.open = make(chan struct{})
			for i, err := range queued(t, g, c) {
				if err != redis.Nil {
					t.Errorf("afterwards, call %d: %v", i, err)
				}
			}
		})
	}
}

func TestAHookMayReadThroughTheSameSender(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	c := sender.New(rdb, false)
	var direct, pipelines atomic.Int32
	free, within := make(chan struct{}), make(chan struct{})
	rdb.AddHook(hook(func(ctx context.Context, cmds []redis.Cmder, next func() error) error {
		switch cmds[0].Args()[1] {
		case "direct":
			direct.Add(1)
			<-free
		case "queued":
			pipelines.Add(1)
			<-within
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			if _, err := get(ctx, c, "within"); err != redis.Nil {
				t.Errorf("within a pipeline: %v", err)
			}
		}
		return next()
	}))
	var others sync.WaitGroup
	start := func(key string, count *atomic.Int32) {
		now := count.Load()
		others.Go(func() { get(t.Context(), c, key) })
		redistest.Eventually(t, func() bool { return count.Load() > now }, "it is sent")
	}
	for range sender.MaxDirect { // so that no other call is sent directly
		start("direct", &direct)
	}
	for range sender.MaxPipelines {
		start("queued", &pipelines)
	}
	close(within)
	redistest.Eventually(t, func() bool { return c.Busy() == sender.MaxDirect }, "both pipelines have ended")
	close(free)
	others.Wait()
}
