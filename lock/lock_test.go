package lock_test

import (
	"errors"
	"testing"

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
		if err := l.Release(t.Context()); err != nil {
			t.Fatalf("Release: %v", err)
		}
		if l.Context().Err() == nil {
			t.Error("the context of a released lock has not ended")
		}
		fence, err := mustTry(t, b, "1").Fence(t.Context())
		if err != nil || fence < 1e15 {
			t.Errorf("Fence = %d, %v", fence, err)
		}
		waiter := acquire(t.Context(), a, "2")
		if r := <-waiter; r.Err != nil {
			t.Error(r.Err)
		}
	})
}
