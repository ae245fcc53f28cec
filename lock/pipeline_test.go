package lock_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

func TestRequestsAndReleasesOfManyCallersShareRoundTrips(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		known := newLocker(t, s)
		warm(t, known)
		var id atomic.Int64
		most := s.Crowd(t, 5, func(rdb *redis.Client) func() {
			k := newLockerOn(t, s, rdb)
			return func() {
				l, err := k.Try(t.Context(), fmt.Sprint(id.Add(1)))
				if err != nil {
					t.Error(err)
					return
				}
				if err := l.Release(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		// Four by themselves and two pipelines, of requests and of releases.
		if most > 12 {
			t.Errorf("%d round trips at once", most)
		}
	})
}

// It did not run, so nobody has to look for what it took.
func TestARequestThatLeftTheQueueIsNotAbandoned(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	open := make(chan struct{})
	held := make(chan struct{}, 100)
	rdb := s.Hooked(func(next func() error, names ...string) error {
		if names[0] == "evalsha" {
			held <- struct{}{}
			<-open
		}
		return next()
	})
	k := newLockerOn(t, s, rdb)
	ctx, leave := context.WithCancel(t.Context())
	var callers []<-chan redistest.Result[*lock.Lock]
	for i := range 30 {
		of := t.Context()
		if i >= 10 {
			of = ctx
		}
		callers = append(callers, redistest.Async(func() (*lock.Lock, error) { return k.Try(of, fmt.Sprint(i)) }))
		if i < 6 { // four by themselves and two pipelines
			<-held
		}
	}
	leave()
	for _, caller := range callers[10:] {
		if r := <-caller; !errors.Is(r.Err, context.Canceled) {
			t.Errorf("a caller that left: %v", r.Err)
		}
	}
	close(open)
	for _, caller := range callers[:10] {
		r := <-caller
		if r.Err != nil {
			t.Errorf("a caller that stayed: %v", r.Err)
			continue
		}
		if err := r.Value.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := k.Stats(); got.Abandoned != 0 || got.Acquired != 10 {
		t.Errorf("%d requests were abandoned, %d took a lock; want none of those that left", got.Abandoned, got.Acquired)
	}
}
