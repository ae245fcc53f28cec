package lock_test

import (
	"context"
	"errors"
	"math"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

func TestALockHasOneHolder(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		a, b := newLocker(t, s), newLocker(t, s)
		l := mustTry(t, a, "1")
		for name, k := range map[string]*lock.Locker{"another process": b, "the same process": a} {
			if _, err := k.Try(t.Context(), "1"); !errors.Is(err, lock.ErrHeld) {
				t.Errorf("%s: Try = %v, want ErrHeld", name, err)
			}
		}
		mustTry(t, b, "another id")
		if l.Context().Err() != nil {
			t.Errorf("the lock's context has ended: %v", context.Cause(l.Context()))
		}
		if err := l.Release(t.Context()); err != nil {
			t.Fatalf("Release: %v", err)
		}
		if l.Context().Err() == nil || errors.Is(context.Cause(l.Context()), lock.ErrLost) {
			t.Errorf("after Release the context's cause is %v, want an end that is no loss", context.Cause(l.Context()))
		}
		mustTry(t, b, "1")
		if got := a.Stats(); got.Acquired != 1 || got.Refused != 1 || got.Released != 1 || got.Holding != 0 || got.Lost != 0 {
			t.Errorf("stats of the first: %+v", got)
		}
		if got := b.Stats(); got.Acquired != 2 || got.Refused != 1 || got.Holding != 2 {
			t.Errorf("stats of the second: %+v", got)
		}
	})
}

func TestTheValueOfALockIsATokenAndItsTTL(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s, func(c *lock.Config) { c.TTL = 1500 * time.Millisecond })
		seen := map[string]bool{}
		for range 10 {
			l := mustTry(t, k, "1")
			value := s.Client().Get(t.Context(), keyOf(s, "1")).Val()
			if !regexp.MustCompile(`^[A-Z0-9]{26}:px=1500$`).MatchString(value) || seen[value] {
				t.Errorf("the value is %q, want a token of its own and the TTL", value)
			}
			seen[value] = true
			if err := l.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A service in another language does SET key locked EX 10 NX, and DEL.
func TestALockExcludesAPlainSetAndIsExcludedByOne(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k, other := newLocker(t, s), s.Client()
		set := func() error {
			return other.Do(t.Context(), "SET", keyOf(s, "1"), "locked", "EX", 10, "NX").Err()
		}
		if err := set(); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Try(t.Context(), "1"); !errors.Is(err, lock.ErrHeld) {
			t.Errorf("Try = %v while another service holds it, want ErrHeld", err)
		}
		other.Del(t.Context(), keyOf(s, "1"))
		l := mustTry(t, k, "1")
		if err := set(); err != redis.Nil {
			t.Errorf("the other service's SET NX: %v, want nil", err)
		}
		if err := l.Release(t.Context()); err != nil {
			t.Error(err)
		}
		if err := set(); err != nil {
			t.Errorf("the other service's SET NX after Release: %v", err)
		}
	})
}

func TestReleaseNeverDeletesAnothersLock(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		for _, value := range []string{"locked", ""} {
			l := mustTry(t, k, "1")
			s.Client().Set(t.Context(), keyOf(s, "1"), value, time.Minute)
			if err := l.Release(t.Context()); !errors.Is(err, lock.ErrLost) {
				t.Errorf("Release = %v, want ErrLost", err)
			}
			if !exists(t, s, "1") {
				t.Errorf("the other's lock is gone")
			}
			s.Client().Del(t.Context(), keyOf(s, "1"))
		}
		if got := k.Stats(); got.Lost != 2 || got.Released != 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestConcurrentReleasesGiveOneAnswer(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		roundTrips := redistest.Trips(rdb)
		k := newLockerOn(t, s, rdb)
		warm(t, k)
		for _, lost := range []bool{false, true} {
			l := mustTry(t, k, "1")
			if lost {
				s.Client().Del(t.Context(), keyOf(s, "1"))
			}
			roundTrips.Take()
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					if err := l.Release(t.Context()); errors.Is(err, lock.ErrLost) != lost || !lost && err != nil {
						t.Errorf("Release = %v; lost: %v", err, lost)
					}
				})
			}
			all.Wait()
			if n := roundTrips.Take(); n != 1 {
				t.Errorf("%d round trips for 50 Releases, want 1", n)
			}
		}
	})
}

func TestReleaseDoesNotEndWithItsContext(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		l := mustTry(t, k, "1")
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Release(gone); err != nil || exists(t, s, "1") {
			t.Errorf("Release with an ended context = %v, and the lock exists: %v", err, exists(t, s, "1"))
		}
	})
}

func TestALockOutlivesTheContextThatTookIt(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		type key struct{}
		k := newLocker(t, s)
		for name, take := range map[string]func(context.Context, string) (*lock.Lock, error){"Try": k.Try, "Acquire": k.Acquire} {
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
			l, err := take(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			if l.Context().Err() != nil || l.Context().Value(key{}) != "v" {
				t.Errorf("%s: the lock's context: %v, value %v", name, l.Context().Err(), l.Context().Value(key{}))
			}
			if err := l.Release(t.Context()); err != nil {
				t.Errorf("%s: Release: %v", name, err)
			}
		}
	})
}

func TestBadCallsSendNothing(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		k := newLockerOn(t, s, rdb)
		roundTrips := redistest.Trips(rdb)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		fn := func(context.Context, *lock.Lock) error { t.Error("fn ran"); return nil }
		calls := map[string]func(ctx context.Context, id string) error{
			"Try":     func(ctx context.Context, id string) error { _, err := k.Try(ctx, id); return err },
			"Acquire": func(ctx context.Context, id string) error { _, err := k.Acquire(ctx, id); return err },
			"Do":      func(ctx context.Context, id string) error { return k.Do(ctx, id, fn) },
			"TryDo":   func(ctx context.Context, id string) error { return k.TryDo(ctx, id, fn) },
		}
		for name, call := range calls {
			if err := call(t.Context(), ""); !errors.Is(err, lock.ErrEmptyID) {
				t.Errorf("%s without an id = %v, want ErrEmptyID", name, err)
			}
			if err := call(ended, "1"); !errors.Is(err, context.Canceled) {
				t.Errorf("%s with an ended context = %v, want context.Canceled", name, err)
			}
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		for name, call := range calls {
			if err := call(t.Context(), "1"); !errors.Is(err, lock.ErrClosed) {
				t.Errorf("%s after Close = %v, want ErrClosed", name, err)
			}
		}
		if n := roundTrips.Take(); n != 0 {
			t.Errorf("%d round trips, want none", n)
		}
	})
}

func TestErrorsCarryNoDataAndNameTheOperation(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		var reported redistest.Recorder
		k := newLocker(t, s, onError(&reported), func(c *lock.Config) { c.Name = "conversations" })
		l := mustTry(t, k, "secret-id")
		_, held := k.Try(t.Context(), "secret-id")
		s.Client().Del(t.Context(), keyOf(s, "secret-id"))
		lost := l.Release(t.Context())
		s.Client().HSet(t.Context(), keyOf(s, "secret-id"), "f", "v")
		s.Client().Expire(t.Context(), keyOf(s, "secret-id"), time.Minute)
		_, wrong := k.Try(t.Context(), "secret-id")
		for prefix, err := range map[string]error{
			"lock: try conversations: held":     held,
			"lock: release conversations: lost": lost,
			"lock: try conversations: ":         wrong,
		} {
			if err == nil || !strings.HasPrefix(err.Error(), prefix) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error = %v, want %q…", err, prefix)
			}
		}
		if got := reported.All(); len(got) != 0 {
			t.Errorf("OnError received %v, want nothing: callers got everything", got)
		}
	})
}

func TestFencesRise(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		last := int64(0)
		ahead := int64(8_999_999_999_999_999) // all 16 digits count
		lockers := []*lock.Locker{newLocker(t, s), newLocker(t, s)}
		for i := range 50 {
			l := mustTry(t, lockers[i%2], "1")
			fence, err := l.Fence(t.Context())
			if err != nil || fence <= last {
				t.Fatalf("holder %d: fence %d after %d, %v", i, fence, last, err)
			}
			if again, err := l.Fence(t.Context()); again != fence || err != nil {
				t.Errorf("a second Fence = %d, %v; want %d", again, err, fence)
			}
			last = fence
			switch {
			case i%10 == 5 && i < 40:
				s.Client().Del(t.Context(), fenceOf(s, "1")) // the counter is lost
			case i == 40:
				s.Client().Set(t.Context(), fenceOf(s, "1"), ahead, time.Minute) // the clock steps back
				last = ahead
			}
			if i > 40 && fence != ahead+int64(i-40) {
				t.Errorf("holder %d: fence %d, want %d", i, fence, ahead+int64(i-40))
			}
			if err := l.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if left := s.Client().PTTL(t.Context(), fenceOf(s, "1")).Val(); left <= 24*time.Hour {
			t.Errorf("the fence is remembered for %v, want more than a day", left)
		}
	})
}

func TestConcurrentFencesAgree(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		l := mustTry(t, newLocker(t, s), "1")
		var all sync.WaitGroup
		var seen sync.Map
		for range 20 {
			all.Go(func() {
				fence, err := l.Fence(t.Context())
				if err != nil {
					t.Error(err)
				}
				seen.Store(fence, true)
			})
		}
		all.Wait()
		n := 0
		seen.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("%d different fences of one lock", n)
		}
	})
}

func TestAFenceIsMintedOnlyWhileTheLockIsHeld(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		a, b := newLocker(t, s), newLocker(t, s)
		l := mustTry(t, a, "1")
		s.Client().Del(t.Context(), keyOf(s, "1"))
		next := mustTry(t, b, "1")
		if fence, err := l.Fence(t.Context()); !errors.Is(err, lock.ErrLost) || fence != 0 {
			t.Errorf("Fence of a lost lock = %d, %v; want ErrLost", fence, err)
		}
		if cause := context.Cause(l.Context()); !errors.Is(cause, lock.ErrLost) {
			t.Errorf("the context's cause is %v, want ErrLost: the fence has shown it", cause)
		}
		if s.Client().Exists(t.Context(), fenceOf(s, "1")).Val() != 0 {
			t.Error("a counter was written")
		}
		if err := l.Release(t.Context()); !errors.Is(err, lock.ErrLost) {
			t.Errorf("Release = %v, want ErrLost", err)
		}
		if _, err := next.Fence(t.Context()); err != nil {
			t.Errorf("Fence of the next holder: %v", err)
		}
	})
}

func TestALockWithoutAnEndHasAFence(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s, func(c *lock.Config) { c.MaxHold = math.MaxInt64 })
		l := mustTry(t, k, "1")
		if fence, err := l.Fence(t.Context()); err != nil || fence <= 0 {
			t.Errorf("Fence = %d, %v", fence, err)
		}
		mustRelease(t, l)
	})
}
