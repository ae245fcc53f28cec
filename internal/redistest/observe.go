package redistest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// NoImmortals fails the test if a key with the test's prefix has no TTL.
func (s *Server) NoImmortals(t testing.TB) {
	t.Helper()
	ctx, rdb := context.Background(), s.Client()
	defer rdb.Close()
	all, err := rdb.Keys(ctx, "*"+s.Prefix()+"*").Result()
	if err != nil {
		return // the test has stopped its server
	}
	for _, key := range all {
		if ttl := rdb.PTTL(ctx, key).Val(); ttl == -1 {
			t.Errorf("key %.80q has no TTL", key)
		}
	}
}

// A Recorder collects the errors that a Config.OnError receives. The zero value is ready
// for use.
type Recorder struct {
	mu   sync.Mutex
	errs []error
}

// OnError is meant for Config.OnError.
func (r *Recorder) OnError(_ context.Context, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

// All returns the errors so far.
func (r *Recorder) All() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errs)
}

// Has reports whether there was an error with text in its own text.
func (r *Recorder) Has(text string) bool {
	return slices.ContainsFunc(r.All(), func(err error) bool { return strings.Contains(err.Error(), text) })
}

// A Result is what a call returned.
type Result[T any] struct {
	Value T
	Err   error
}

// Async runs f in a goroutine and returns a channel that receives its result.
func Async[T any](f func() (T, error)) <-chan Result[T] {
	out := make(chan Result[T], 1)
	go func() {
		v, err := f()
		out <- Result[T]{v, err}
	}()
	return out
}

// Commands is a hook with which a test observes, delays or fails what a client sends. It
// is called with the name of a command, or the names of all commands of a pipeline, and
// with next, which sends them.
type Commands func(next func() error, names ...string) error

// DialHook does not change dials.
func (h Commands) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook passes a command through h.
func (h Commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := h(func() error { return next(ctx, cmd) }, cmd.Name())
		if err != nil && cmd.Err() == nil {
			cmd.SetErr(err)
		}
		return err
	}
}

// ProcessPipelineHook passes a pipeline through h.
func (h Commands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		names := make([]string, len(cmds))
		for i, cmd := range cmds {
			names[i] = cmd.Name()
		}
		err := h(func() error { return next(ctx, cmds) }, names...)
		if err == nil || slices.ContainsFunc(cmds, func(cmd redis.Cmder) bool { return cmd.Err() != nil }) {
			return err // a command has the error, or there is none
		}
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
		return err
	}
}

// Hooked returns a client whose commands pass through h, except those of its handshake.
func (s *Server) Hooked(h Commands) *redis.Client {
	rdb := s.Client()
	_ = rdb.Ping(context.Background()).Err()
	rdb.AddHook(h)
	return rdb
}

// A Spy is a hook that is called with each command before it is sent.
type Spy func(redis.Cmder)

// DialHook does not change dials.
func (h Spy) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook calls h with a command.
func (h Spy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h(cmd)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook calls h with each command of a pipeline.
func (h Spy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			h(cmd)
		}
		return next(ctx, cmds)
	}
}

// Crowd lets 64 goroutines make the same call at once, and returns how many round trips
// were under way at the same time, at most. No round trip is let through before want of
// them are under way. prepare returns the call, over a client whose round trips are
// counted.
func (s *Server) Crowd(t testing.TB, want int, prepare func(rdb *redis.Client) (call func())) int {
	t.Helper()
	var mu sync.Mutex
	now, most := 0, 0
	add := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		now += n
		most = max(most, now)
	}
	open := make(chan struct{})
	call := prepare(s.Hooked(func(next func() error, names ...string) error {
		if names[0] == "hello" || names[0] == "client" || names[0] == "ping" {
			return next()
		}
		add(1)
		defer add(-1)
		<-open
		return next()
	}))
	var callers sync.WaitGroup
	for range 64 {
		callers.Go(call)
	}
	defer callers.Wait()
	release := sync.OnceFunc(func() { close(open) })
	defer release()
	Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return now >= want
	}, want, " round trips are under way")
	release()
	callers.Wait()
	return most
}
