package script_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/pipeline"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/script"
)

// patient is a client for a server that runs many scripts at once under the
// race detector.
func patient(o *redis.Options) { o.ReadTimeout, o.PoolTimeout = time.Minute, time.Minute }

func TestManyCallersSendAnUnknownScriptOnce(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for name, direct := range map[string]bool{"combined": false, "direct": true} {
			rdb := s.Client(patient)
			var sources atomic.Int32
			rdb.AddHook(redistest.Spy(func(cmd redis.Cmder) {
				if cmd.Name() == "eval" {
					sources.Add(1)
				}
			}))
			r := script.NewRunner(pipeline.For(rdb, direct))
			call := script.Call{
				Script: unknown(s, "--"+name+"\nreturn redis.call('INCR', KEYS[1])"),
				Keys:   []string{s.Prefix() + name},
			}
			var all sync.WaitGroup
			for range 200 {
				all.Go(func() {
					cmd, err := r.Run(t.Context(), script.Once, call)
					if err != nil || cmd.Err() != nil {
						t.Error(err, cmd.Err())
					}
				})
			}
			all.Wait()
			if n, _ := rdb.Get(t.Context(), call.Keys[0]).Int(); n != 200 || sources.Load() != 1 {
				t.Errorf("%s: 200 calls ran %d times, and the source was sent %d times, want once", name, n, sources.Load())
			}
			rdb.Del(t.Context(), call.Keys[0])
		}
	})
}

func TestScriptsThatTheServerForgetsRunOnceEach(t *testing.T) {
	t.Parallel()
	p := redistest.Start(t) // others of this binary rely on the shared server's scripts
	rdb := p.Client(patient)
	r := script.NewRunner(pipeline.For(rdb, false))
	call := script.Call{Script: script.New("return redis.call('INCR', KEYS[1])"), Keys: []string{"n"}}
	var all sync.WaitGroup
	var ran atomic.Int64
	for range 64 {
		all.Go(func() {
			for range 100 {
				if cmd, err := r.Run(t.Context(), script.Once, call); err != nil || cmd.Err() != nil {
					t.Error(err, cmd.Err())
				}
				ran.Add(1)
			}
		})
	}
	for i := range int64(10) {
		redistest.Eventually(t, func() bool { return ran.Load() >= 600*i }, "calls run")
		rdb.ScriptFlush(t.Context())
	}
	all.Wait()
	if n, err := rdb.Get(t.Context(), "n").Int(); n != 6400 {
		t.Errorf("6400 calls ran %d times, %v", n, err)
	}
}

func TestACallerWaitsForAnothersSourceNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		sending, held := make(chan struct{}), make(chan struct{})
		rdb := s.Hooked(func(next func() error, names ...string) error {
			if names[0] == "eval" {
				close(sending)
				<-held
			}
			return next()
		})
		r := script.NewRunner(pipeline.For(rdb, false))
		call := script.Call{Script: unknown(s, "return 1"), Keys: []string{s.Prefix()}}
		run := func(ctx context.Context) (*redis.Cmd, error) { return r.Run(ctx, script.Once, call) }
		first := redistest.Async(func() (*redis.Cmd, error) { return run(t.Context()) })
		<-sending
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		close(held)
		if got := <-first; got.Err != nil || got.Value.Err() != nil {
			t.Errorf("the first: %v", got.Err)
		}
	})
}
