package lock_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

// A fault is applied to all commands of a client for as long as it is set.
type fault struct {
	f atomic.Pointer[redistest.Commands]
}

func (f *fault) set(h redistest.Commands) { f.f.Store(&h) }

func (f *fault) clear() { f.f.Store(nil) }

// client returns a client whose commands pass through f.
func (f *fault) client(s *redistest.Server) *redis.Client {
	return s.Hooked(func(next func() error, names ...string) error {
		if h := f.f.Load(); h != nil {
			return (*h)(next, names...)
		}
		return next()
	})
}

// lostAfter awaits the end of l's context and returns how long it took.
func lostAfter(t *testing.T, l *lock.Lock, since time.Time) time.Duration {
	t.Helper()
	<-l.Context().Done()
	if cause := context.Cause(l.Context()); !errors.Is(cause, lock.ErrLost) {
		t.Errorf("the context's cause is %v, want ErrLost", cause)
	}
	return time.Since(since)
}

func TestALockIsRenewedUntilItsRelease(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		l := mustTry(t, k, "1")
		for range 100 {
			time.Sleep(5 * time.Second)
			if left := s.Client().PTTL(t.Context(), keyOf(s, "1")).Val(); left <= 5*time.Second {
				t.Fatalf("the lock has %v left, want more than half of its TTL", left)
			}
		}
		if err := l.Release(t.Context()); err != nil {
			t.Errorf("Release: %v", err)
		}
		renewals := k.Stats().Renewals
		if renewals < 140 || renewals > 150 {
			t.Errorf("%d renewals in 500 s of a TTL of 10 s, want one every third of it", renewals)
		}
		time.Sleep(time.Minute)
		if got := k.Stats(); got.Renewals != renewals || exists(t, s, "1") {
			t.Errorf("a released lock was renewed: %+v", got)
		}
	})
}

func TestALockEndsAtMaxHold(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s, func(c *lock.Config) { c.MaxHold = time.Minute })
		began := time.Now()
		l := mustTry(t, k, "forgotten")
		if held := lostAfter(t, l, began); held != time.Minute {
			t.Errorf("held for %v, want MaxHold", held)
		}
		synctest.Wait()
		if exists(t, s, "forgotten") {
			t.Error("the lock was not given back")
		}
		for _, err := range []error{context.Cause(l.Context()), l.Release(t.Context())} {
			if !errors.Is(err, lock.ErrMaxHold) || !errors.Is(err, lock.ErrLost) {
				t.Errorf("%v, want ErrMaxHold, an ErrLost", err)
			}
		}
		err := k.Do(t.Context(), "1", func(ctx context.Context, _ *lock.Lock) error { <-ctx.Done(); return nil })
		if !errors.Is(err, lock.ErrMaxHold) {
			t.Errorf("Do = %v, want ErrMaxHold", err)
		}
		if got := k.Stats(); got.Lost != 2 || got.MaxHolds != 2 || got.Holding != 0 || got.Released != 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestAFailedReleaseThatNoCallerGetsIsReported(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var reported redistest.Recorder
		var broken fault
		k := newLockerOn(t, s, broken.client(s), onError(&reported), func(c *lock.Config) { c.MaxHold = 15 * time.Second })
		l := mustTry(t, k, "forgotten")
		time.Sleep(14 * time.Second)
		broken.set(func(func() error, ...string) error { return io.EOF })
		<-l.Context().Done()
		synctest.Wait()
		if !reported.Has("release") {
			t.Errorf("OnError received %v, want the failed release at MaxHold", reported.All())
		}
		broken.clear()
		err := k.Do(t.Context(), "1", func(context.Context, *lock.Lock) error {
			broken.set(func(func() error, ...string) error { return io.ErrUnexpectedEOF })
			return nil
		})
		if err != nil {
			t.Errorf("Do = %v, want fn's nil: it was alone", err)
		}
		if !reported.Has("release") || !reported.Has("unexpected EOF") {
			t.Errorf("OnError received %v, want the failed release of Do", reported.All())
		}
	})
}

// The renewal waits on a network that drops everything, in a client that does not end with
// its context.
func TestALockIsLostWhileItsRenewalIsBlocked(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var dropping fault
		k := newLockerOn(t, s, dropping.client(s))
		began := time.Now()
		l := mustTry(t, k, "1")
		time.Sleep(4 * time.Second) // one renewal, at 3.33 s
		if got := k.Stats().Renewals; got != 1 {
			t.Fatalf("%d renewals, want 1", got)
		}
		open := make(chan struct{})
		dropping.set(func(func() error, ...string) error { <-open; return io.EOF })
		lost := lostAfter(t, l, began)
		if renewed := 10 * time.Second / 3; lost != renewed+9*time.Second {
			t.Errorf("lost after %v, want 9s after the last renewal", lost)
		}
		if !exists(t, s, "1") {
			t.Error("the lock has expired before its holder learned of it")
		}
		close(open)
		synctest.Wait()
		dropping.clear()
		if err := l.Release(t.Context()); !errors.Is(err, lock.ErrLost) || exists(t, s, "1") {
			t.Errorf("Release = %v; the lock exists: %v", err, exists(t, s, "1"))
		}
	})
}

func TestALockSurvivesTwoFailedRenewals(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var reported redistest.Recorder
		var broken fault
		k := newLockerOn(t, s, broken.client(s), onError(&reported))
		l := mustTry(t, k, "1")
		var failures atomic.Int32
		broken.set(func(next func() error, _ ...string) error {
			if failures.Add(1) <= 2 {
				time.Sleep(500 * time.Millisecond)
				return io.EOF
			}
			return next()
		})
		time.Sleep(time.Minute)
		if got := k.Stats(); l.Context().Err() != nil || got.FailedRenewals != 2 || got.Renewals < 15 {
			t.Errorf("the context's cause is %v, stats = %+v", context.Cause(l.Context()), got)
		}
		if got := reported.All(); len(got) != 2 || !reported.Has("renew") {
			t.Errorf("OnError received %v, want the two failures", got)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestALockThatCannotBeRenewedIsLostBeforeItExpires(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var broken fault
		k := newLockerOn(t, s, broken.client(s))
		began := time.Now()
		l := mustTry(t, k, "1")
		broken.set(func(func() error, ...string) error { return io.EOF })
		if lost := lostAfter(t, l, began); lost != 9*time.Second || !exists(t, s, "1") {
			t.Errorf("lost after %v, want 9s; the lock exists: %v", lost, exists(t, s, "1"))
		}
		if n := k.Stats().FailedRenewals; n < 5 {
			t.Errorf("%d renewals were tried, want several", n)
		}
	})
}

func TestALockWhoseKeyIsGoneIsLostAtTheNextRenewal(t *testing.T) {
	t.Parallel()
	for name, vanish := range map[string]func(*redistest.Server, *redis.Client){
		"deleted by another service": func(s *redistest.Server, rdb *redis.Client) { rdb.Del(context.Background(), keyOf(s, "1")) },
		"restarted without its data": func(s *redistest.Server, _ *redis.Client) { s.Mini().FlushAll() },
		"another's by now": func(s *redistest.Server, rdb *redis.Client) {
			rdb.Set(context.Background(), keyOf(s, "1"), "locked", time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
				rdb := s.Client()
				k := newLocker(t, s)
				l := mustTry(t, k, "1")
				began := time.Now()
				vanish(s, rdb)
				before := rdb.Get(t.Context(), keyOf(s, "1")).Val()
				if lost := lostAfter(t, l, began); lost > 10*time.Second/3 {
					t.Errorf("lost after %v, want a third of the TTL at most", lost)
				}
				time.Sleep(20 * time.Second)
				if after := rdb.Get(t.Context(), keyOf(s, "1")).Val(); after != before {
					t.Errorf("the key holds %q, want %q: a lost lock must not come back", after, before)
				}
				if err := l.Release(t.Context()); !errors.Is(err, lock.ErrLost) {
					t.Errorf("Release = %v, want ErrLost", err)
				}
			})
		})
	}
}

// The monotonic clock stood still while the machine slept for longer than the
// TTL; only the wall clock knows.
func TestALockIsLostAfterTheMachineWasSuspended(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var slept atomic.Int64
		k := newLocker(t, s)
		lock.SetWallAhead(k, func() time.Duration { return time.Duration(slept.Load()) })
		began := time.Now()
		renewed, released, fenced := mustTry(t, k, "renewed"), mustTry(t, k, "released"), mustTry(t, k, "fenced")
		slept.Store(int64(9 * time.Second)) // Redis, which did not sleep, still has them
		if err := released.Release(t.Context()); !errors.Is(err, lock.ErrLost) {
			t.Errorf("Release = %v, want ErrLost", err)
		}
		if _, err := fenced.Fence(t.Context()); !errors.Is(err, lock.ErrLost) {
			t.Errorf("Fence = %v, want ErrLost", err)
		}
		if lost := lostAfter(t, renewed, began); lost > 10*time.Second/3 {
			t.Errorf("lost after %v, want at the next renewal", lost)
		}
		if got := k.Stats(); got.Renewals != 0 || got.Lost != 3 {
			t.Errorf("stats = %+v, want nothing renewed that was lost", got)
		}
	})
}

func TestAWallClockThatIsSetBackChangesNothing(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var dropping fault
		var ahead atomic.Int64
		k := newLockerOn(t, s, dropping.client(s))
		lock.SetWallAhead(k, func() time.Duration { return time.Duration(ahead.Load()) })
		began := time.Now()
		l := mustTry(t, k, "1")
		ahead.Store(int64(-time.Hour))
		dropping.set(func(func() error, ...string) error { return io.EOF })
		if lost := lostAfter(t, l, began); lost != 9*time.Second {
			t.Errorf("lost after %v, want 9s by the monotonic clock", lost)
		}
	})
}

func TestAGrantThatComesTooLateIsNotHeld(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var slow fault
		k := newLockerOn(t, s, slow.client(s), ttl(200*time.Millisecond))
		warm(t, k)
		slow.set(func(next func() error, _ ...string) error {
			err := next()
			time.Sleep(300 * time.Millisecond)
			return err
		})
		if _, err := k.Try(t.Context(), "1"); !errors.Is(err, lock.ErrLate) || errors.Is(err, lock.ErrLost) {
			t.Errorf("Try = %v, want ErrLate", err)
		}
		if got := k.Stats(); got.Acquired != 1 || got.Abandoned != 1 || got.Holding != 0 {
			t.Errorf("stats = %+v", got)
		}
		slow.clear()
		time.Sleep(time.Second) // until the first one is not looked for any more
		var granted atomic.Bool
		slow.set(func(next func() error, _ ...string) error { // late, but not too late for Redis
			err := next()
			if granted.CompareAndSwap(false, true) { // what gives it back is not
				time.Sleep(185 * time.Millisecond)
			}
			return err
		})
		_, err := k.Try(t.Context(), "2")
		if !errors.Is(err, lock.ErrLate) {
			t.Errorf("Try = %v, want ErrLate", err)
		}
		time.Sleep(time.Millisecond)
		if exists(t, s, "2") {
			t.Error("the lock was not given back")
		}
	})
}

// A renewal that is answered after the lock had to be given up does not bring
// it back.
func TestARenewalThatComesTooLateDoesNotCount(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var slow fault
		k := newLockerOn(t, s, slow.client(s))
		began := time.Now()
		l := mustTry(t, k, "1")
		slow.set(func(next func() error, _ ...string) error {
			err := next()
			time.Sleep(9 * time.Second)
			return err
		})
		if lost := lostAfter(t, l, began); lost != 9*time.Second {
			t.Errorf("lost after %v, want 9s", lost)
		}
		time.Sleep(10 * time.Second)
		slow.clear()
		if got := k.Stats(); got.Renewals != 0 || got.Lost != 1 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestOnErrorMayCallBack(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var broken fault
		var l *lock.Lock
		var k *lock.Locker
		k = newLockerOn(t, s, broken.client(s), func(c *lock.Config) {
			c.OnError = func(ctx context.Context, _ error) {
				broken.clear()
				_ = k.Stats()
				if err := l.Release(ctx); err != nil {
					t.Errorf("Release: %v", err)
				}
			}
		})
		l = mustTry(t, k, "1")
		broken.set(func(func() error, ...string) error { return io.EOF })
		<-l.Context().Done()
		synctest.Wait()
		if exists(t, s, "1") {
			t.Error("the lock was not given back")
		}
	})
}

func TestALockThatWasLostIsNotRemembered(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		l := mustTry(t, k, "1")
		s.Client().Del(t.Context(), keyOf(s, "1"))
		<-l.Context().Done()
		synctest.Wait()
		if got := k.Stats(); got.Holding != 0 || got.Lost != 1 {
			t.Errorf("stats = %+v, want nothing held", got)
		}
	})
}

func TestAReleasedLockIsNotLostAfterwards(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		l := mustTry(t, k, "1")
		mustRelease(t, l)
		time.Sleep(time.Minute)
		if _, err := l.Fence(t.Context()); !errors.Is(err, lock.ErrLost) {
			t.Errorf("Fence after Release = %v, want ErrLost", err)
		}
		if err := l.Release(t.Context()); err != nil || k.Stats().Lost != 0 {
			t.Errorf("Release = %v, stats = %+v", err, k.Stats())
		}
	})
}

// What Redis counts began, at the earliest, when the request was sent.
func TestARenewalCountsFromItsRequest(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var slow fault
		k := newLockerOn(t, s, slow.client(s))
		began := time.Now()
		l := mustTry(t, k, "1")
		time.Sleep(4 * time.Second) // the renewal at 3.33 s makes the server know the script
		slow.set(func(next func() error, _ ...string) error {
			err := next()
			time.Sleep(2 * time.Second)
			slow.set(func(func() error, ...string) error { return io.EOF })
			return err
		})
		if lost, want := lostAfter(t, l, began), 2*(10*time.Second/3)+9*time.Second; lost != want {
			t.Errorf("lost after %v, want %v: 9s after the last renewal was sent", lost, want)
		}
	})
}

// The machine was suspended, so that the lock expired and reached MaxHold at once. Redis,
// which was not, still has it.
func TestALockThatExpiredIsGivenBackAtMaxHold(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var suspended atomic.Int64
		k := newLocker(t, s, func(c *lock.Config) { c.MaxHold = 30 * time.Second })
		lock.SetWallAhead(k, func() time.Duration { return time.Duration(suspended.Load()) })
		l := mustTry(t, k, "forgotten")
		suspended.Store(int64(time.Minute))
		<-l.Context().Done()
		synctest.Wait()
		if exists(t, s, "forgotten") {
			t.Error("the lock was not given back")
		}
	})
}

func TestARenewalThatPanicsIsReportedAndSentAgain(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var reported redistest.Recorder
		var broken fault
		k := newLockerOn(t, s, broken.client(s), onError(&reported))
		l := mustTry(t, k, "1")
		broken.set(func(func() error, ...string) error { broken.clear(); panic("a hook") })
		time.Sleep(time.Minute)
		if got := k.Stats(); l.Context().Err() != nil || got.FailedRenewals != 1 || got.Renewals < 15 {
			t.Errorf("the context's cause is %v, stats = %+v", context.Cause(l.Context()), got)
		}
		var panicked *life.PanicError
		if got := reported.All(); len(got) != 1 || !errors.As(got[0], &panicked) || len(panicked.Stack) == 0 {
			t.Errorf("OnError received %v, want the panic with its stack", got)
		}
		mustRelease(t, l)
	})
}

func TestAReleaseThatPanickedIsNoSuccess(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var broken fault
		k := newLockerOn(t, s, broken.client(s), func(c *lock.Config) { c.MaxHold = 15 * time.Second })
		released, forgotten := mustTry(t, k, "released"), mustTry(t, k, "forgotten")
		time.Sleep(14 * time.Second)
		broken.set(func(func() error, ...string) error { panic("a hook") })
		func() {
			defer func() { _ = recover() }()
			_ = released.Release(t.Context())
			t.Error("Release returned")
		}()
		<-forgotten.Context().Done()
		synctest.Wait()
		broken.clear()
		if err := released.Release(t.Context()); err == nil || errors.Is(err, lock.ErrLost) {
			t.Errorf("Release after a panic = %v, want that it is not known", err)
		}
		if err := forgotten.Release(t.Context()); !errors.Is(err, lock.ErrMaxHold) {
			t.Errorf("Release after a panic at MaxHold = %v, want ErrMaxHold", err)
		}
	})
}
