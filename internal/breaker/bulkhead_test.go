package breaker_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/redistest"
)

// held is a hook that holds every GET and pipeline back until open is closed, and answers
// all else.
type held struct{ open chan struct{} }

func (held) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) { panic("nothing is sent") }
}

func (h held) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "get" {
			<-h.open
		}
		return nil
	}
}

func (h held) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { <-h.open; return nil }
}

// guarded returns a client that may have two calls under way, and has them.
func guarded(t *testing.T) (rdb *redis.Client, open chan struct{}, calls *sync.WaitGroup) {
	rdb, open, calls = redis.NewClient(&redis.Options{}), make(chan struct{}), new(sync.WaitGroup)
	t.Cleanup(func() { rdb.Close() })
	breaker.Guard(rdb, breaker.Config{MaxWaiting: 2})
	rdb.AddHook(held{open})
	calls.Go(func() { rdb.Get(t.Context(), "k") })
	calls.Go(func() {
		_, _ = rdb.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
			pipe.Get(t.Context(), "k")
			pipe.Get(t.Context(), "k")
			return nil
		})
	})
	redistest.Eventually(t, func() bool { return breaker.BulkheadOf(rdb).UnderWay() == 2 }, "two calls are under way")
	return rdb, open, calls
}

func TestACallBeyondTheBoundIsRefusedAtOnceAndCounted(t *testing.T) {
	t.Parallel()
	rdb, open, calls := guarded(t)
	ctx := t.Context()
	if err := rdb.Get(ctx, "k").Err(); err != breaker.ErrOverloaded {
		t.Errorf("a command beyond the bound: %v", err)
	}
	var first *redis.StringCmd
	_, err := rdb.Pipelined(ctx, func(pipe redis.Pipeliner) error { first = pipe.Get(ctx, "k"); return nil })
	if err != breaker.ErrOverloaded || first.Err() != breaker.ErrOverloaded {
		t.Errorf("a pipeline beyond the bound: %v, its command %v", err, first.Err())
	}
	b := breaker.BulkheadOf(rdb)
	if b.Refused() != 2 || b.UnderWay() != 2 || b.Limit() != 2 {
		t.Errorf("%d refused, %d of %d under way; want 2, 2 of 2", b.Refused(), b.UnderWay(), b.Limit())
	}
	close(open)
	calls.Wait()
	if err := rdb.Get(ctx, "k").Err(); err != nil || b.UnderWay() != 0 {
		t.Errorf("after the calls have ended: %v, %d under way", err, b.UnderWay())
	}
}

func TestWhatBelongsToACountedCallIsNeverRefused(t *testing.T) {
	t.Parallel()
	rdb, open, calls := guarded(t)
	for name, err := range map[string]error{
		"handshake":           rdb.Process(t.Context(), redis.NewCmd(t.Context(), "hello", 2)),
		"map of a Cluster":    rdb.ClusterSlots(t.Context()).Err(),
		"table of commands":   rdb.Command(t.Context()).Err(),
		"ping of a breaker":   rdb.Ping(breaker.Bypass(t.Context())).Err(),
		"pipeline of counted": rdb.Ping(breaker.Counted(t.Context())).Err(),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := rdb.Ping(t.Context()).Err(); err != breaker.ErrOverloaded {
		t.Errorf("another command: %v", err)
	}
	close(open)
	calls.Wait()
	if n := breaker.BulkheadOf(rdb).UnderWay(); n != 0 {
		t.Errorf("%d calls are under way when all have ended", n)
	}
}

type breaks struct {
	held
	how func()
}

func (h breaks) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { h.how(); return nil }
}

func TestACallThatPanicsIsNotUnderWayAnyMore(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]func(){"panic": func() { panic("x") }, "Goexit": runtime.Goexit} {
		rdb := redis.NewClient(&redis.Options{})
		defer rdb.Close()
		breaker.Guard(rdb, breaker.Config{MaxWaiting: 2})
		rdb.AddHook(breaks{how: how})
		var call sync.WaitGroup
		call.Go(func() {
			defer func() { _ = recover() }()
			rdb.Get(t.Context(), "k")
		})
		call.Wait()
		if n := breaker.BulkheadOf(rdb).UnderWay(); n != 0 {
			t.Errorf("%s: %d calls are under way", name, n)
		}
	}
}

func TestARefusalForOverloadIsNotARefusalOfTheServer(t *testing.T) {
	t.Parallel()
	s := newServer(breaker.ErrOverloaded, false) // as of a hook below
	for range 2 * breaker.Threshold {
		if err := s.get(t.Context()); !errors.Is(err, breaker.ErrOverloaded) {
			t.Fatal(err)
		}
	}
}

func TestTheBulkheadOfAClientIsFoundWithoutSending(t *testing.T) {
	t.Parallel()
	dialled := func(context.Context, string, string) (net.Conn, error) {
		t.Error("a connection was dialled")
		return nil, net.ErrClosed
	}
	single := redis.NewClient(&redis.Options{Dialer: dialled})
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"a:1"}, Dialer: dialled})
	for _, rdb := range []redis.UniversalClient{single, cluster} {
		defer rdb.Close()
		if breaker.BulkheadOf(rdb) != nil {
			t.Errorf("%T: a client that nothing guards has a bulkhead", rdb)
		}
		breaker.Guard(rdb, breaker.Config{MaxWaiting: 7})
		if b := breaker.BulkheadOf(rdb); b == nil || b.Limit() != 7 {
			t.Errorf("%T: %+v", rdb, b)
		}
	}
}
