package sender_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
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
			r := sender.New(rdb, direct)
			call := sender.Call{
				Script: unknown(s, "--"+name+"\nreturn redis.call('INCR', KEYS[1])"),
				Keys:   []string{s.Prefix() + name},
			}
			var all sync.WaitGroup
			for range 200 {
				all.Go(func() {
					if err := r.Run(t.Context(), sender.Charge, call).Err(); err != nil {
						t.Error(err)
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
	r := sender.New(rdb, false)
	call := sender.Call{Script: sender.NewScript("return redis.call('INCR', KEYS[1])"), Keys: []string{"n"}}
	var all sync.WaitGroup
	var ran atomic.Int64
	for range 64 {
		all.Go(func() {
			for range 100 {
				if err := r.Run(t.Context(), sender.Charge, call).Err(); err != nil {
					t.Error(err)
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
		answered := func() {} // after each EVALSHA
		rdb := s.Hooked(func(next func() error, names ...string) error {
			if names[0] == "eval" {
				close(sending)
				<-held
				return next()
			}
			err := next()
			answered()
			return err
		})
		r := sender.New(rdb, false)
		call := sender.Call{Script: unknown(s, "return 1"), Keys: []string{s.Prefix()}}
		run := func(ctx context.Context) (any, error) { return r.Run(ctx, sender.Charge, call).Result() }
		first := redistest.Async(func() (any, error) { return run(t.Context()) })
		<-sending
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		// A deadline could pass before the server says that it does not know the script.
		answered = func() { time.AfterFunc(20*time.Millisecond, cancel) }
		if _, err := run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(held)
		if got := <-first; got.Err != nil {
			t.Errorf("the first: %v", got.Err)
		}
	})
}
