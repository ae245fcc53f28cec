package redistest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
)

// NoImmortals fails the test if any key with its prefix has no TTL.
func (s *Server) NoImmortals(t testing.TB) {
	t.Helper()
	ctx, rdb := context.Background(), s.Client()
	defer rdb.Close()
	all, err := rdb.Keys(ctx, "*"+s.Prefix()+"*").Result()
	if err != nil {
		return // the test took its server away
	}
	for _, key := range all {
		if ttl := rdb.PTTL(ctx, key).Val(); ttl == -1 {
			t.Errorf("key %.80q has no TTL", key)
		}
	}
}

// A Recorder collects what a Config.OnError is told. The zero value is ready.
type Recorder struct {
	mu   sync.Mutex
	errs []error
}

// OnError is to be a Config's.
func (r *Recorder) OnError(_ context.Context, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

// All is what was told so far.
func (r *Recorder) All() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errs)
}

// Has says whether an error with text in it was told.
func (r *Recorder) Has(text string) bool {
	return slices.ContainsFunc(r.All(), func(err error) bool { return strings.Contains(err.Error(), text) })
}

// Result is what a call brought.
type Result[T any] struct {
	Value T
	Err   error
}

// Async runs f and returns where its result will be.
func Async[T any](f func() (T, error)) <-chan Result[T] {
	out := make(chan Result[T], 1)
	go func() {
		v, err := f()
		out <- Result[T]{v, err}
	}()
	return out
}

// Commands is a hook by which a test looks at, holds or fails what a client
// sends: it is given the names of a command, or of a pipeline's, and next,
// which sends them.
type Commands func(next func() error, names ...string) error

// DialHook leaves dials alone.
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
			return err // if any, that of a command alone
		}
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
		return err
	}
}

// Hooked is a client whose commands, but for those of its handshake, go
// through h.
func (s *Server) Hooked(h Commands) *redis.Client {
	rdb := s.Client()
	_ = rdb.Ping(context.Background()).Err()
	rdb.AddHook(h)
	return rdb
}

// A Spy is a hook that sees each command before it is sent.
type Spy func(redis.Cmder)

// DialHook leaves dials alone.
func (h Spy) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook shows a command.
func (h Spy) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h(cmd)
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook shows each command of a pipeline.
func (h Spy) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			h(cmd)
		}
		return next(ctx, cmds)
	}
}

// Crowd is how many round trips are under way at once, at most, while 64
// callers call. None is answered before there are want of them. prepare makes
// the call over the client whose trips are counted.
func (s *Server) Crowd(t testing.TB, want int, prepare func(rdb *redis.Client) (call func())) int {
	t.Helper()
	var mu sync.Mutex
	now, most := 0, 0
	move := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		now += by
		most = max(most, now)
	}
	open := make(chan struct{})
	call := prepare(s.Hooked(func(next func() error, names ...string) error {
		if names[0] == "hello" || names[0] == "client" {
			return next()
		}
		move(1)
		defer move(-1)
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
	}, want, " trips are under way")
	release()
	callers.Wait()
	return most
}
