package lock_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

// never makes a waiter depend on announcements.
func never(c *lock.Config) { c.Poll = time.Hour }

// awaitListeners returns once n processes receive the releases of id.
func awaitListeners(t testing.TB, s *redistest.Server, id string, n int64) {
	t.Helper()
	rdb := s.Client()
	redistest.Eventually(t, func() bool {
		return rdb.PubSubNumSub(context.Background(), channelOf(s, id)).Val()[channelOf(s, id)] == n
	}, n, " processes receive releases")
}

// awaitWaiting returns once n callers of k have lined up.
func awaitWaiting(t testing.TB, k *lock.Locker, n uint64) {
	t.Helper()
	redistest.Eventually(t, func() bool { return k.Stats().Waiting == n }, n, " callers wait")
}

func mustRelease(t testing.TB, l *lock.Lock) {
	t.Helper()
	if err := l.Release(t.Context()); err != nil {
		t.Errorf("Release: %v", err)
	}
}

// got is the lock that a waiter was to get.
func got(t testing.TB, waiting <-chan redistest.Result[*lock.Lock]) *lock.Lock {
	t.Helper()
	select {
	case r := <-waiting:
		if r.Err != nil {
			t.Fatalf("Acquire: %v", r.Err)
		}
		return r.Value
	case <-time.After(20 * time.Second):
		t.Fatal("Acquire has not returned")
	}
	panic("unreachable")
}

func TestAWaiterIsWokenByARelease(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		a, b := newLocker(t, s, never), newLocker(t, s, never)
		for range 10 {
			l := mustTry(t, a, "1")
			waiting := acquire(t.Context(), b, "1")
			awaitWaiting(t, b, 1)
			awaitListeners(t, s, "1", 1)
			mustRelease(t, l)
			mustRelease(t, got(t, waiting))
		}
		if got := b.Stats(); got.Acquired != 10 || got.Waits != 10 || got.Waiting != 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

// Whatever the moment of the release, before, during or after the waiter's
// subscription, it is not missed.
func TestNoReleaseIsMissedWhileAWaiterComes(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		a, b := newLocker(t, s, never), newLocker(t, s, never)
		for i := range 100 {
			l := mustTry(t, a, "1")
			waiting := acquire(t.Context(), b, "1")
			for range i * 100 { // a little later each time
				_ = b.Name()
			}
			mustRelease(t, l)
			mustRelease(t, got(t, waiting))
		}
	})
}

func TestAWaiterIsWokenByExpiry(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s, never)
		s.Client().Set(t.Context(), keyOf(s, "1"), "locked", 5*time.Second)
		began := time.Now()
		l := got(t, acquire(t.Context(), k, "1"))
		if waited := time.Since(began); waited < 5*time.Second || waited > 6500*time.Millisecond {
			t.Errorf("waited for %v, want the 5s of the TTL and a little", waited)
		}
		mustRelease(t, l)
	})
}

func TestAReleaseThatIsNotAnnouncedCostsAPoll(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		rdb := s.Client()
		for _, expiry := range []time.Duration{time.Hour, 0} { // 0: a lock of another program that never expires
			rdb.Set(t.Context(), keyOf(s, "1"), "locked", expiry)
			waiting := acquire(t.Context(), k, "1")
			time.Sleep(time.Minute)
			began := time.Now()
			rdb.Del(t.Context(), keyOf(s, "1"))
			l := got(t, waiting)
			if waited := time.Since(began); waited > 500*time.Millisecond {
				t.Errorf("got it %v after its DEL, want Poll's 500ms at most", waited)
			}
			mustRelease(t, l)
		}
	})
}

func TestAWaiterOutlivesTheEndOfItsSubscription(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy, rdb := through(t, s)
		a, b := newLocker(t, s), newLockerOn(t, s, rdb, never)
		for range 3 {
			l := got(t, acquire(t.Context(), a, "1")) // a look whose reply was lost may still hold it
			waiting := acquire(t.Context(), b, "1")
			awaitListeners(t, s, "1", 1)
			proxy.Cut()
			mustRelease(t, l) // announced, or missed while there is no connection
			mustRelease(t, got(t, waiting))
		}
	})
}

func TestWaitersOfOneProcessTakeTurns(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		roundTrips := redistest.Trips(rdb)
		a, k := newLocker(t, s), newLockerOn(t, s, rdb)
		l := mustTry(t, a, "1")
		const waiters = 30
		inside, through := 0, 0
		var all sync.WaitGroup
		for range waiters {
			all.Go(func() {
				err := k.Do(t.Context(), "1", func(context.Context, *lock.Lock) error {
					inside++
					through++
					if inside != 1 {
						t.Error("two holders")
					}
					time.Sleep(time.Millisecond)
					inside--
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		time.Sleep(time.Second)
		roundTrips.Take()
		time.Sleep(20 * time.Second)
		if n := roundTrips.Take(); n > 55 {
			t.Errorf("%d idle waiters went %d times to Redis in 20 s, want those of one", waiters, n)
		}
		if got := k.Stats().Waiting; got != waiters {
			t.Errorf("%d wait, want %d", got, waiters)
		}
		mustRelease(t, l)
		all.Wait()
		if through != waiters {
			t.Errorf("%d of %d got through", through, waiters)
		}
		if n := roundTrips.Take(); n > 4*waiters { // a look and a release each, and no herd
			t.Errorf("%d round trips for %d waiters", n, waiters)
		}
	})
}

// Each of them in a process of its own.
func TestIdleWaitersAreCheap(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		a := newLocker(t, s)
		l := mustTry(t, a, "1")
		const waiters = 5
		ctx, cancel := context.WithCancel(t.Context())
		var counters []*redistest.Counter
		var waiting []<-chan redistest.Result[*lock.Lock]
		for range waiters {
			rdb := s.Client()
			counters = append(counters, redistest.Trips(rdb))
			waiting = append(waiting, acquire(ctx, newLockerOn(t, s, rdb), "1"))
		}
		time.Sleep(time.Second)
		for _, c := range counters {
			c.Take()
		}
		time.Sleep(20 * time.Second)
		for _, c := range counters {
			// Each round trip is EVALSHA, with SET and GET in it, and PTTL.
			if n := c.Take(); n > 55 {
				t.Errorf("an idle waiter sent %d pipelines in 20 s, want at most three a second", n)
			}
		}
		cancel()
		for _, w := range waiting {
			<-w
		}
		mustRelease(t, l)
	})
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		a, b := newLocker(t, s), newLocker(t, s, never)
		l := mustTry(t, a, "1")
		first, cancelFirst := context.WithCancel(t.Context())
		second, cancelSecond := context.WithCancel(t.Context())
		looks := acquire(first, b, "1")
		awaitListeners(t, s, "1", 1)
		lined := acquire(second, b, "1") // behind the first
		awaitWaiting(t, b, 2)
		cancelSecond()
		r := <-lined
		if !errors.Is(r.Err, context.Canceled) || !errors.Is(r.Err, lock.ErrHeld) {
			t.Errorf("Acquire = %v, want that it was cancelled, and why it waited", r.Err)
		}
		third := acquire(t.Context(), b, "1")
		awaitWaiting(t, b, 2)
		cancelFirst()
		if r = <-looks; !errors.Is(r.Err, context.Canceled) || !errors.Is(r.Err, lock.ErrHeld) {
			t.Errorf("Acquire = %v, want that it was cancelled, and why it waited", r.Err)
		}
		mustRelease(t, l)
		mustRelease(t, got(t, third)) // which is the leader now
	})
}

func TestAWaitEndsAtItsDeadline(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var slow fault
		a, b := newLocker(t, s), newLockerOn(t, s, slow.client(s))
		l := mustTry(t, a, "1")
		for _, delay := range []time.Duration{0, 300 * time.Millisecond} { // the last look may be cut short
			slow.set(func(next func() error, _ ...string) error { time.Sleep(delay); return next() })
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second+100*time.Millisecond)
			began := time.Now()
			err := b.Do(ctx, "1", func(context.Context, *lock.Lock) error { return nil })
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, lock.ErrHeld) {
				t.Errorf("Do = %v, want that time was up, and why it waited", err)
			}
			if took := time.Since(began); took > 4*time.Second+100*time.Millisecond+delay {
				t.Errorf("Do took %v", took)
			}
			slow.clear()
		}
		mustRelease(t, l)
	})
}

func TestCloseWakesWaiters(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		a, b := newLocker(t, s), newLocker(t, s, never)
		l := mustTry(t, a, "1")
		waiting := []<-chan redistest.Result[*lock.Lock]{acquire(t.Context(), b, "1"), acquire(t.Context(), b, "1")}
		awaitWaiting(t, b, 2)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		for _, w := range waiting {
			if r := <-w; !errors.Is(r.Err, lock.ErrClosed) {
				t.Errorf("Acquire = %v, want ErrClosed", r.Err)
			}
		}
		awaitListeners(t, s, "1", 0)
		mustRelease(t, l)
	})
}

func TestReleasesAreReceivedOnlyWhileACallerWaits(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		a, b := newLocker(t, s), newLocker(t, s)
		listeners := func(id string) int { return s.Mini().PubSubNumSub(channelOf(s, id))[channelOf(s, id)] }
		connections := func() int { return s.Mini().CurrentConnectionCount() }
		first, second := mustTry(t, a, "1"), mustTry(t, a, "2")
		ones, twos := acquire(t.Context(), b, "1"), acquire(t.Context(), b, "2")
		time.Sleep(time.Second)
		if listeners("1") != 1 || listeners("2") != 1 {
			t.Errorf("%d and %d listen, want one each", listeners("1"), listeners("2"))
		}
		mustRelease(t, first)
		mustRelease(t, got(t, ones))
		time.Sleep(time.Second)
		if listeners("1") != 0 || listeners("2") != 1 {
			t.Errorf("%d and %d listen, want only those that wait", listeners("1"), listeners("2"))
		}
		mustRelease(t, second)
		mustRelease(t, got(t, twos))
		time.Sleep(time.Second)
		kept := connections()
		time.Sleep(10 * time.Second)
		if n := connections(); n != kept-1 {
			t.Errorf("%d connections of %d are left, want that of the waiters closed", n, kept)
		}
		third := mustTry(t, a, "1")
		again := acquire(t.Context(), b, "1")
		time.Sleep(time.Second)
		if listeners("1") != 1 {
			t.Error("no process listens for the next waiter")
		}
		mustRelease(t, third)
		mustRelease(t, got(t, again))
	})
}

func TestAWaiterOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var reported redistest.Recorder
		var broken fault
		a, b := newLocker(t, s), newLockerOn(t, s, broken.client(s), onError(&reported))
		l := mustTry(t, a, "1")
		waiting := acquire(t.Context(), b, "1")
		time.Sleep(time.Second)
		broken.set(func(func() error, ...string) error { return io.EOF })
		time.Sleep(30 * time.Second)
		mustRelease(t, l)
		time.Sleep(time.Second)
		broken.clear()
		mustRelease(t, got(t, waiting))
		if !reported.Has("acquire") {
			t.Errorf("OnError received %v, want the outage", reported.All())
		}

		broken.set(func(func() error, ...string) error { return io.EOF })
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := b.Acquire(ctx, "2"); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, io.EOF) {
			t.Errorf("Acquire = %v, want that time was up, and the outage", err)
		}
		broken.clear()
	})
}

func TestAWaitEndsAtAReplyThatWaitingDoesNotChange(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		s.Client().HSet(t.Context(), keyOf(s, "1"), "f", "v")
		s.Client().Expire(t.Context(), keyOf(s, "1"), time.Minute)
		var reply redis.Error
		if _, err := k.Acquire(t.Context(), "1"); !errors.As(err, &reply) {
			t.Errorf("Acquire = %v, want Redis's answer", err)
		}
	})
}

func TestManyProcessesPassALockOn(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		const lockers, rounds = 4, 5
		var inside, through atomic.Int32
		var all sync.WaitGroup
		for range lockers {
			k := newLocker(t, s, never)
			for range 2 {
				all.Go(func() {
					for range rounds {
						err := k.Do(t.Context(), "1", func(context.Context, *lock.Lock) error {
							if inside.Add(1) != 1 {
								t.Error("two holders")
							}
							through.Add(1)
							inside.Add(-1)
							return nil
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
		}
		all.Wait()
		if n := through.Load(); n != lockers*2*rounds {
			t.Errorf("%d got through, want %d", n, lockers*2*rounds)
		}
	})
}

// Nothing is known of the lock, so there is no reason to look at once.
func TestAClusterThatCannotBeReachedIsPolled(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, MaxRedirects: 1, DialerRetries: 1})
	defer rdb.Close()
	k := newOn(t, rdb, never)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := k.Acquire(ctx, "1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Acquire = %v", err)
	}
	if got := k.Stats(); got.Polls != 0 {
		t.Errorf("stats = %+v, want no look before Poll", got)
	}
}

// The release came after the waiter had looked and before it was subscribed.
func TestAReleaseBeforeTheSubscriptionIsNotMissed(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var slow atomic.Bool
		rdb := s.Client(func(o *redis.Options) {
			dial := o.Dialer
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if slow.Load() {
					time.Sleep(time.Second)
				}
				return dial(ctx, network, addr)
			}
		})
		a, b := newLocker(t, s), newLockerOn(t, s, rdb, never)
		warm(t, b) // with connections of its own
		l := mustTry(t, a, "1")
		slow.Store(true)
		waiting := acquire(t.Context(), b, "1")
		time.Sleep(500 * time.Millisecond)
		mustRelease(t, l)
		released := time.Now()
		mustRelease(t, got(t, waiting))
		if waited := time.Since(released); waited > time.Second {
			t.Errorf("got it %v after its release, want as soon as it was subscribed", waited)
		}
	})
}

// A server that takes no writes does not know when the lock will be free, even
// if it says that there is none.
func TestAServerThatTakesNoWritesIsPolled(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--min-replicas-to-write", "1")
	k := newOn(t, server.Client(), never)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := k.Acquire(ctx, "1"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "NOREPLICAS") {
		t.Errorf("Acquire = %v, want that time was up, and why", err)
	}
	if got := k.Stats(); got.Polls != 0 {
		t.Errorf("stats = %+v, want no look before Poll", got)
	}
}

// The first look of a client without ContextTimeoutEnabled returns late.
func TestAWaitThatEndsDuringItsFirstLookIsBothErrors(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) { o.Addr, o.ContextTimeoutEnabled = proxy.Addr(), false })
		a, b := newLocker(t, s), newLockerOn(t, s, rdb)
		warm(t, b)
		l := mustTry(t, a, "1")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		answered := proxy.DelayReply(keyOf(s, "1"), 50*time.Millisecond)
		waiting := acquire(ctx, b, "1")
		<-answered
		cancel()
		if r := <-waiting; !errors.Is(r.Err, context.Canceled) || !errors.Is(r.Err, lock.ErrHeld) {
			t.Errorf("Acquire = %v, want that its context ended and that the lock is held", r.Err)
		}
		mustRelease(t, l)
	})
}
