package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestConcurrentMissesLoadOnce(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		// Three caches with clients of their own stand for three processes.
		caches := []*cache.Cache[string]{newCache[string](t, s), newCache[string](t, s), newCache[string](t, s)}
		src := newSource("v")
		slow := src.holdNext()
		var results []<-chan redistest.Result[string]
		for i := range 60 {
			results = append(results, redistest.Async(func() (string, error) {
				return caches[i%3].GetOrLoad(t.Context(), "1", src.load)
			}))
		}
		<-slow.entered
		redistest.Eventually(t, func() bool {
			waiting := 0
			for _, c := range caches {
				waiting += int(c.Stats().Misses)
			}
			return waiting == 60
		}, "all have missed")
		close(slow.open)
		for _, r := range results {
			want(t, <-r, "v")
		}
		if got := src.count(); got != 1 {
			t.Errorf("%d loads, want 1", got)
		}
	})
}

func TestALoadOutlivesTheCallerThatBeganIt(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c, src := newCache[string](t, s), newSource("v")
		slow := src.holdNext()
		ctx, cancel := context.WithCancel(t.Context())
		leader := redistest.Async(func() (string, error) { return c.GetOrLoad(ctx, "1", src.load) })
		<-slow.entered
		waiter := redistest.Async(func() (string, error) { return c.GetOrLoad(t.Context(), "1", src.load) })
		redistest.Eventually(t, func() bool { return c.Stats().Shared == 1 }, "the waiter joins")
		cancel()
		if r := <-leader; !errors.Is(r.Err, context.Canceled) {
			t.Errorf("the cancelled leader got %v", r.Err)
		}
		close(slow.open)
		want(t, <-waiter, "v")
		if src.count() != 1 {
			t.Errorf("%d loads, want 1", src.count())
		}
	})
}

func TestAWaiterReturnsAtItsOwnDeadline(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		c, src := newCache[string](t, s), newSource("v")
		slow, leader := slowLoad(t, c, src, "1")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := c.GetOrLoad(ctx, "1", src.load)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 20*time.Millisecond {
			t.Errorf("after %v: %v; want its deadline after 20ms", time.Since(began), err)
		}
		close(slow.open)
		want(t, <-leader, "v")
	})
}

func TestTheLoadKeepsTheValuesOfItsCallersContext(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		type traceKey struct{}
		c := newCache[string](t, s)
		ctx := context.WithValue(t.Context(), traceKey{}, "trace")
		got, err := c.GetOrLoad(ctx, "1", func(ctx context.Context, id string) (string, error) {
			trace, _ := ctx.Value(traceKey{}).(string)
			return id + trace, nil
		})
		want(t, redistest.Result[string]{Value: got, Err: err}, "1trace")
	})
}

func TestAFailedLoadReachesEveryWaiterAndTheNextCallLoadsAtOnce(t *testing.T) {
	t.Parallel()
	broken := errors.New("the database is down")
	for name, tc := range map[string]struct {
		fail  func()
		check func(error) error
	}{
		"error": {nil, func(err error) error {
			if err != broken {
				return fmt.Errorf("got %w, want the loader's own error", err)
			}
			return nil
		}},
		"panic": {func() { panic("CANARY") }, func(err error) error {
			var panicked *cache.PanicError
			if !errors.As(err, &panicked) || panicked.Value != "CANARY" || !strings.Contains(string(panicked.Stack), "load_test.go") {
				return fmt.Errorf("got %w, want a PanicError with value and stack", err)
			}
			if strings.Contains(err.Error(), "CANARY") {
				return fmt.Errorf("the text tells the value: %w", err)
			}
			return nil
		}},
		"nil panic": {func() { panic(nil) }, func(err error) error {
			var panicked *cache.PanicError
			if !errors.As(err, &panicked) {
				return fmt.Errorf("got %w, want a PanicError", err)
			}
			return nil
		}},
		"Goexit": {runtime.Goexit, func(err error) error {
			if !errors.Is(err, cache.ErrLoaderExited) {
				return fmt.Errorf("got %w, want ErrLoaderExited", err)
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(t *testing.T, s *redistest.Server) {
				c, src := newCache[string](t, s), newSource("v")
				slow := src.holdNext()
				load := func(ctx context.Context, id string) (string, error) {
					if _, err := src.load(ctx, id); err != nil {
						return "", err
					}
					if tc.fail != nil {
						tc.fail()
					}
					return "", broken
				}
				results := []<-chan redistest.Result[string]{redistest.Async(func() (string, error) { return c.GetOrLoad(t.Context(), "1", load) })}
				<-slow.entered
				for range 5 {
					results = append(results, redistest.Async(func() (string, error) { return c.GetOrLoad(t.Context(), "1", load) }))
				}
				redistest.Eventually(t, func() bool { return c.Stats().Shared == 5 }, "all have joined")
				close(slow.open)
				for _, r := range results {
					if err := tc.check((<-r).Err); err != nil {
						t.Error(err)
					}
				}
				if n := s.Client().Exists(t.Context(), leaseOf(s, "1")).Val(); n != 0 {
					t.Error("the failed load kept its lease")
				}
				want(t, get(t, c, src, "1"), "v")
				if got := c.Stats(); got.LeaseWaits != 0 {
					t.Errorf("the next call waited for a lease: %+v", got)
				}
			})
		})
	}
}

func TestALoaderThatHangsEndsAtLoadTimeout(t *testing.T) {
	t.Parallel()
	for name, stubborn := range map[string]bool{"honours its context": false, "ignores its context": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				c, src := newCache[string](t, s), newSource("v")
				woken := make(chan struct{})
				began := time.Now()
				_, err := c.GetOrLoad(t.Context(), "1", func(ctx context.Context, _ string) (string, error) {
					if stubborn {
						<-woken
						return "too late", nil
					}
					<-ctx.Done()
					return "", ctx.Err()
				})
				if !errors.Is(err, cache.ErrLoadTimeout) || time.Since(began) != 5*time.Second {
					t.Errorf("after %v: %v; want ErrLoadTimeout after 5s", time.Since(began), err)
				}
				want(t, get(t, c, src, "1"), "v")
				close(woken)
			})
		})
	}
}

func TestEachCallerHasAValueOfItsOwn(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[[]string](t, s)
		kept := []string{"a", "b", "c"} // the loader keeps a reference
		load := func(context.Context, string) ([]string, error) { return kept, nil }
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				list, err := c.GetOrLoad(t.Context(), "1", load)
				if err != nil || fmt.Sprint(list) != "[a b c]" {
					t.Errorf("got %v, %v", list, err)
					return
				}
				list[0] = fmt.Sprint("mine ", i) // the race detector watches
			})
		}
		all.Wait()
	})
}

func TestCloseEndsLoadsAndAnswersTheirCallers(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c, src := newCache[string](t, s), newSource("v")
		_, caller := slowLoad(t, c, src, "1")
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if r := <-caller; !errors.Is(r.Err, cache.ErrClosed) {
			t.Errorf("the caller got %v, want ErrClosed", r.Err)
		}
		if n := s.Client().Exists(t.Context(), leaseOf(s, "1")).Val(); n != 0 {
			t.Error("Close left a lease behind, which others would wait for")
		}
		if err := c.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
		for name, call := range map[string]func() error{
			"Get":       func() error { _, err := c.Get(t.Context(), "1"); return err },
			"GetOrLoad": func() error { _, err := c.GetOrLoad(t.Context(), "1", src.load); return err },
			"GetMany":   func() error { _, err := c.GetMany(t.Context(), []string{"1"}); return err },
			"Set":       func() error { return c.Set(t.Context(), "1", "v") },
			"SetMany":   func() error { return c.SetMany(t.Context(), nil) },
			"Delete":    func() error { return c.Delete(t.Context(), "1") },
			"Clear":     func() error { _, err := c.Clear(t.Context(), nil); return err },
		} {
			if err := call(); !errors.Is(err, cache.ErrClosed) {
				t.Errorf("%s after Close: %v, want ErrClosed", name, err)
			}
		}
	})
}

func TestCloseWaitsForASlowFill(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		filling := make(chan struct{})
		var scripts atomic.Int32
		rdb := s.Hooked(func(next func() error, names ...string) error {
			if names[0] == "evalsha" && scripts.Add(1) == 2 {
				close(filling)
				time.Sleep(time.Second)
			}
			return next()
		})
		c := newCacheOn[string](t, s, rdb, func(cfg *cache.Config) { cfg.LoadTimeout = 10 * time.Millisecond })
		warm(t, newCache[string](t, s))
		caller := redistest.Async(func() (string, error) { return c.GetOrLoad(t.Context(), "1", newSource("v").load) })
		<-filling
		if err := c.Close(); err != nil {
			t.Errorf("Close = %v, want it to wait", err)
		}
		want(t, <-caller, "v")
		if got := stored(t, s, "1"); got != `"v"` {
			t.Errorf("Redis holds %s", got)
		}
	})
}

func TestCloseSaysThatALoaderIgnoresItsContext(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		c, err := cache.New[string](s.Client(), cache.Config{Key: s.Prefix() + ":*", TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		entered, woken := make(chan struct{}), make(chan struct{})
		caller := redistest.Async(func() (string, error) {
			return c.GetOrLoad(t.Context(), "1", func(context.Context, string) (string, error) {
				close(entered)
				<-woken
				return "", nil
			})
		})
		<-entered
		if err := c.Close(); err == nil || !strings.Contains(err.Error(), "a loader still runs") {
			t.Errorf("Close = %v", err)
		}
		if r := <-caller; !errors.Is(r.Err, cache.ErrClosed) {
			t.Errorf("the caller got %v", r.Err)
		}
		close(woken)
		if err := c.Close(); err != nil {
			t.Errorf("Close after the loader has ended: %v", err)
		}
	})
}
