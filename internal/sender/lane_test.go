package sender_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

func TestFewCallsAreSentDirectlyAndQueuedOnesShareARoundTrip(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		g, c := newGate(rdb), sender.New(rdb, false)
		others := g.fill(t, c, sender.Read, "busy")
		for range 50 {
			others.Go(func() { get(t.Context(), c, "queued") })
		}
		redistest.Eventually(t, func() bool { return c.Queued() == 50 }, "50 are queued")
		close(g.open)
		others.Wait()
		var sizes []int
		for _, keys := range g.sent() {
			sizes = append(sizes, len(keys))
		}
		if want := []int{1, 1, 1, 1, 1, 1, 50}; !slices.Equal(sizes, want) {
			t.Errorf("round trips of %v commands, want %v", sizes, want)
		}
	})
}

func TestAQueuedCommandWhoseContextEndsIsNeverSent(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		g, c := newGate(rdb), sender.New(rdb, false)
		others := g.fill(t, c, sender.Charge, "busy")
		key := s.Prefix() + "n"

		cancelled, cancel := context.WithCancel(t.Context())
		expired, cancelExpired := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancelExpired()
		var left []<-chan redistest.Result[int]
		for _, ctx := range []context.Context{cancelled, expired} {
			left = append(left, redistest.Async(func() (int, error) { return charge(ctx, c, key) }))
		}
		stays := redistest.Async(func() (int, error) { return charge(t.Context(), c, key) })
		redistest.Eventually(t, func() bool { return c.Queued() == 3 }, "three are queued")
		cancel()
		for i, want := range []error{context.Canceled, context.DeadlineExceeded} {
			if r := <-left[i]; !errors.Is(r.Err, want) || sender.OutcomeOf(r.Err) != sender.Unsent { // although nothing moves
				t.Errorf("a caller whose context ended: %v, want %v, unsent", r.Err, want)
			}
		}
		close(g.open)
		others.Wait()
		if r := <-stays; r.Err != nil || r.Value != 1 {
			t.Errorf("the caller that stayed: %d, %v; want 1: those that left were charged", r.Value, r.Err)
		}
		sent := 0
		for _, keys := range g.sent() {
			for _, k := range keys {
				if k == key {
					sent++
				}
			}
		}
		if sent != 1 {
			t.Errorf("%d commands were sent, want only that of the caller that stayed", sent)
		}
	})
}

func TestNothingIsSentIfAllCallersHaveLeft(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client()
	g, c := newGate(rdb), sender.New(rdb, false)
	others := g.fill(t, c, sender.Read, "busy")
	ctx, cancel := context.WithCancel(t.Context())
	left := redistest.Async(func() (string, error) { return get(ctx, c, "left") })
	redistest.Eventually(t, func() bool { return c.Queued() == 1 }, "one is queued")
	cancel()
	<-left
	close(g.open)
	others.Wait()
	redistest.Eventually(t, func() bool { return c.Queued() == 0 }, "the queue is empty")
	if n := len(g.sent()); n != sender.MaxDirect+sender.MaxPipelines {
		t.Errorf("%d round trips, want %d", n, sender.MaxDirect+sender.MaxPipelines)
	}
	if v, err := get(t.Context(), c, "k"); err != redis.Nil {
		t.Errorf("afterwards: %q, %v", v, err)
	}
}

func TestACallerDoesNotWaitForASentCommandOnceItsContextEnds(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client()
	g, c := newGate(rdb), sender.New(rdb, false)
	others := g.fill(t, c, sender.Read, "busy")
	ctx, cancel := context.WithCancel(t.Context())
	left := redistest.Async(func() (string, error) { return get(ctx, c, "left") })
	redistest.Eventually(t, func() bool { return c.Queued() == 1 }, "it is queued")
	for range sender.MaxDirect + sender.MaxPipelines {
		g.open <- struct{}{} // lets one round trip through
	}
	redistest.Eventually(t, func() bool { return slices.Contains(slices.Concat(g.sent()...), "left") }, "it is sent")
	cancel()
	if r := <-left; r.Err != context.Canceled {
		t.Errorf("got %v", r.Err)
	}
	close(g.open)
	others.Wait()
	if v, err := get(t.Context(), c, "k"); err != redis.Nil {
		t.Errorf("afterwards: %q, %v", v, err)
	}
}

// TestEveryCallerGetsItsOwnReplies runs any mix of callers: those that read
// one key or several, that add, that meet errors of their own, that leave.
func TestEveryCallerGetsItsOwnReplies(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, ctx := s.Client(), t.Context()
		c := sender.New(rdb, false)
		const keys, callers, calls = 50, 64, 100
		key := func(i int) string { return fmt.Sprint(s.Prefix(), ":", i) }
		value := func(i int) string { return strings.Repeat(fmt.Sprint(i, " "), 1+i*i) }
		for i := range keys {
			if err := rdb.Set(ctx, key(i), value(i), time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
		}
		list := s.Prefix() + ":list"
		rdb.RPush(ctx, list, "x")
		rdb.Expire(ctx, list, time.Minute)
		var charged, uncertain atomic.Int64
		var all sync.WaitGroup
		for caller := range callers {
			all.Go(func() {
				for n := range calls {
					i := (caller*7 + n) % keys
					ctx, cancel := context.WithCancel(ctx)
					leaves := (caller+n)%8 == 0
					if leaves {
						go func() {
							runtime.Gosched()
							cancel()
						}()
					}
					var got string
					var err error
					switch n % 5 {
					case 0:
						if got, err = get(ctx, c, key(i)); err == nil && got != value(i) {
							t.Errorf("GET of %d got %.20q", i, got)
						}
					case 1:
						ttl, read := redis.NewDurationCmd(ctx, time.Millisecond, "pttl", key(i)), redis.NewStringCmd(ctx, "get", key(i))
						if err = c.Do(ctx, sender.Read, key(i), ttl, read); err == nil {
							got, err = read.Result()
							if err == nil && (got != value(i) || ttl.Val() <= 0 || ttl.Val() > time.Minute) {
								t.Errorf("PTTL and GET of %d got %v, %.20q", i, ttl.Val(), got)
							}
						}
					case 2:
						j := (i + 1) % keys
						read := redis.NewSliceCmd(ctx, "mget", key(i), key(j), key(-1))
						if err = c.Do(ctx, sender.Read, key(i), read); err == nil {
							err = read.Err()
							if want := []any{value(i), value(j), nil}; err == nil && !slices.Equal(read.Val(), want) {
								t.Errorf("MGET of %d and %d got %.60q", i, j, read.Val())
							}
						}
					case 3:
						if _, err = get(ctx, c, list); redis.HasErrorPrefix(err, "WRONGTYPE") {
							err = nil
						} else if err == nil {
							t.Error("GET of a list got no error")
						}
					case 4:
						if _, err = charge(ctx, c, s.Prefix()+":n"); err == nil {
							charged.Add(1)
						} else {
							uncertain.Add(1)
						}
					}
					cancel()
					if err != nil && (!leaves || !errors.Is(err, context.Canceled)) {
						t.Errorf("call %d: %v", n%5, err)
					}
				}
			})
		}
		all.Wait()
		if c.Queued() != 0 {
			t.Errorf("%d calls are queued", c.Queued())
		}
		n, err := rdb.Get(ctx, s.Prefix()+":n").Int64()
		if err != nil || n < charged.Load() || n > charged.Load()+uncertain.Load() {
			t.Errorf("charged %d, %v; %d callers know that they were, %d do not know", n, err, charged.Load(), uncertain.Load())
		}
	})
}

func TestAPipelineEndsWithTheLastDeadlineOfItsCallers(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	var deadlines []time.Time
	var mu sync.Mutex
	g, c := newGate(rdb), sender.New(rdb, false)
	rdb.AddHook(hook(func(ctx context.Context, cmds []redis.Cmder, next func() error) error {
		if cmds[0].Args()[1] == "queued" {
			mu.Lock()
			defer mu.Unlock()
			deadline, _ := ctx.Deadline()
			deadlines = append(deadlines, deadline)
		}
		return next()
	}))
	others := g.fill(t, c, sender.Read, "busy")
	var want time.Time
	for i := range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Minute)
		defer cancel()
		want, _ = ctx.Deadline()
		others.Go(func() { get(ctx, c, "queued") })
	}
	redistest.Eventually(t, func() bool { return c.Queued() == 3 }, "three are queued")
	close(g.open)
	others.Wait()
	if len(deadlines) != 1 || !deadlines[0].Equal(want) {
		t.Errorf("pipelines that end at %v, want one at %v, the latest of its callers", deadlines, want)
	}
}
