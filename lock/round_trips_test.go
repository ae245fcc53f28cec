package lock_test

import (
	"context"
	"errors"
	"testing"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		roundTrips := redistest.Trips(rdb)
		k := newLockerOn(t, s, rdb)
		warm(t, k)
		roundTrips.Take()
		expect := func(what string, want int, call func() error) {
			t.Helper()
			if err := call(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if got := roundTrips.Take(); got != want {
				t.Errorf("%s: %d round trips, want %d", what, got, want)
			}
		}
		var l *lock.Lock
		fn := func(context.Context, *lock.Lock) error { return nil }
		expect("a Try", 1, func() (err error) { l, err = k.Try(t.Context(), "1"); return err })
		expect("a Fence", 1, func() error { _, err := l.Fence(t.Context()); return err })
		expect("a second Fence", 0, func() error { _, err := l.Fence(t.Context()); return err })
		expect("a Try of a held lock", 1, func() error {
			if _, err := k.Try(t.Context(), "1"); !errors.Is(err, lock.ErrHeld) {
				return errors.New("it was not held")
			}
			return nil
		})
		expect("a Release", 1, func() error { return l.Release(t.Context()) })
		expect("a second Release", 0, func() error { return l.Release(t.Context()) })
		expect("an Acquire of a free lock", 1, func() (err error) { l, err = k.Acquire(t.Context(), "1"); return err })
		expect("a Release", 1, func() error { return l.Release(t.Context()) })
		expect("a Do", 2, func() error { return k.Do(t.Context(), "1", fn) })
		expect("a TryDo", 2, func() error { return k.TryDo(t.Context(), "1", fn) })
	})
}
