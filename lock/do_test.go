package lock_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

// dos are Do and TryDo, which differ only in how they wait.
func dos(k *lock.Locker) map[string]func(context.Context, string, func(context.Context, *lock.Lock) error) error {
	return map[string]func(context.Context, string, func(context.Context, *lock.Lock) error) error{
		"Do": k.Do, "TryDo": k.TryDo,
	}
}

func TestDoHoldsTheLockWhileFnRuns(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		own := errors.New("fn's own")
		for name, do := range dos(k) {
			for _, want := range []error{nil, own} {
				err := do(t.Context(), "1", func(ctx context.Context, l *lock.Lock) error {
					if !exists(t, s, "1") || ctx.Err() != nil || ctx != l.Context() {
						t.Errorf("%s: the lock exists: %v; fn's context: %v", name, exists(t, s, "1"), ctx.Err())
					}
					return want
				})
				if err != want {
					t.Errorf("%s = %v, want %v as it is", name, err, want)
				}
				if exists(t, s, "1") {
					t.Errorf("%s has left the lock behind", name)
				}
			}
		}
	})
}

func TestTryDoDoesNotRunFnWhileAnotherHoldsTheLock(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		l := mustTry(t, k, "1")
		err := k.TryDo(t.Context(), "1", func(context.Context, *lock.Lock) error { t.Error("fn ran"); return nil })
		if !errors.Is(err, lock.ErrHeld) {
			t.Errorf("TryDo = %v, want ErrHeld", err)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAHolderThatAsksAgainFindsTheLockHeld(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		err := k.Do(t.Context(), "1", func(ctx context.Context, _ *lock.Lock) error {
			return k.TryDo(ctx, "1", func(context.Context, *lock.Lock) error { return nil })
		})
		if !errors.Is(err, lock.ErrHeld) {
			t.Errorf("Do = %v, want ErrHeld", err)
		}
	})
}

func TestDoExcludesOthers(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		lockers := []*lock.Locker{newLocker(t, s), newLocker(t, s), newLocker(t, s)}
		inside, count := 0, 0 // the race detector watches them as well
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				err := lockers[i%3].Do(t.Context(), "1", func(context.Context, *lock.Lock) error {
					inside++
					if inside != 1 {
						t.Error("two holders")
					}
					count++
					inside--
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if count != 60 {
			t.Errorf("%d of 60 ran", count)
		}
	})
}

func TestAPanicInFnGivesTheLockBackAndGoesOn(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		for name, do := range dos(k) {
			func() {
				defer func() {
					if v := recover(); v != "oops" {
						t.Errorf("%s: recovered %v, want fn's panic", name, v)
					}
				}()
				_ = do(t.Context(), "1", func(context.Context, *lock.Lock) error { panic("oops") })
			}()
			if exists(t, s, "1") {
				t.Errorf("%s has left the lock behind", name)
			}
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = k.Do(t.Context(), "1", func(context.Context, *lock.Lock) error { runtime.Goexit(); return nil })
		}()
		<-done
		if exists(t, s, "1") || k.Stats().Holding != 0 {
			t.Error("a Goexit has left the lock behind")
		}
	})
}

func TestDoReturnsErrLostEvenIfFnReturnsNil(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		own := errors.New("fn's own")
		for _, result := range []error{nil, own} {
			err := k.Do(t.Context(), "1", func(ctx context.Context, l *lock.Lock) error {
				s.Client().Del(ctx, keyOf(s, "1"))
				return result
			})
			if !errors.Is(err, lock.ErrLost) || result != nil && !errors.Is(err, own) {
				t.Errorf("Do = %v, want ErrLost and %v", err, result)
			}
		}
	})
}

func TestFnMayReleaseByItself(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		err := k.Do(t.Context(), "1", func(ctx context.Context, l *lock.Lock) error { return l.Release(ctx) })
		if err != nil {
			t.Errorf("Do = %v", err)
		}
	})
}

func TestTheContextOfFnEndsWithTheCallers(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		for name, do := range dos(k) {
			ctx, cancel := context.WithCancel(t.Context())
			err := do(ctx, "1", func(ctx context.Context, _ *lock.Lock) error {
				cancel()
				<-ctx.Done()
				if !exists(t, s, "1") {
					t.Errorf("%s: the lock was given back under a running fn", name)
				}
				return ctx.Err()
			})
			if !errors.Is(err, context.Canceled) || errors.Is(err, lock.ErrLost) || exists(t, s, "1") {
				t.Errorf("%s = %v; the lock exists: %v", name, err, exists(t, s, "1"))
			}
		}
	})
}

func TestCloseWaitsForFunctionsUnderDo(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		do := redistest.Async(func() (any, error) {
			return nil, k.Do(t.Context(), "1", func(ctx context.Context, _ *lock.Lock) error {
				<-ctx.Done()
				time.Sleep(3 * time.Second) // to finish
				return context.Cause(ctx)
			})
		})
		synctest.Wait()
		began := time.Now()
		if err := k.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("Close took %v, want fn's 3s", took)
		}
		if r := <-do; !errors.Is(r.Err, lock.ErrClosed) || errors.Is(r.Err, lock.ErrLost) || exists(t, s, "1") {
			t.Errorf("Do = %v; the lock exists: %v", r.Err, exists(t, s, "1"))
		}
		if err := k.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
	})
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s, ttl(time.Second))
		stuck := make(chan struct{})
		do := redistest.Async(func() (any, error) {
			return nil, k.Do(t.Context(), "1", func(context.Context, *lock.Lock) error { <-stuck; return nil })
		})
		synctest.Wait()
		if err := k.Close(); err == nil {
			t.Error("Close = nil, though a holder still runs")
		}
		if exists(t, s, "1") {
			t.Error("the lock has outlived its TTL")
		}
		close(stuck)
		if r := <-do; !errors.Is(r.Err, lock.ErrLost) {
			t.Errorf("Do = %v, want ErrLost: its lock has expired", r.Err)
		}
	})
}

func TestCloseCancelsHeldLocksAndLeavesThemToTheirHolders(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		l := mustTry(t, k, "1")
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		if cause := context.Cause(l.Context()); !errors.Is(cause, lock.ErrClosed) {
			t.Errorf("the context's cause is %v, want ErrClosed", cause)
		}
		if !exists(t, s, "1") {
			t.Error("Close has given back what its holder may still use")
		}
		if err := l.Release(t.Context()); err != nil || exists(t, s, "1") {
			t.Errorf("Release after Close = %v; the lock exists: %v", err, exists(t, s, "1"))
		}
	})
}
