package lock_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

// through is a client that reaches s by a proxy, and would send again what
// may be sent again.
func through(t testing.TB, s *redistest.Server) (*redistest.Proxy, *redis.Client) {
	t.Helper()
	proxy := redistest.StartProxy(t, s.Addr())
	return proxy, s.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), 3 })
}

func TestALockWhoseReplyWasLostIsGivenBack(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy, rdb := through(t, s)
		k := newLockerOn(t, s, rdb)
		warm(t, k)
		sent := proxy.Requests("EVALSHA", "EVAL")
		lost := proxy.DropReply(keyOf(s, "1"))
		if _, err := k.Try(t.Context(), "1"); err == nil || errors.Is(err, lock.ErrHeld) {
			t.Fatalf("Try = %v, want why it is not known", err)
		}
		<-lost
		redistest.Eventually(t, func() bool { return !exists(t, s, "1") }, "the lock is given back")
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		// The request, and a release, which no other server needed to learn.
		if n := proxy.Requests("EVALSHA", "EVAL") - sent; n < 2 || n > 3 {
			t.Errorf("%d scripts were sent, want the request once and a release", n)
		}
		if got := k.Stats(); got.Abandoned != 1 || got.RedisErrors != 1 || got.Holding != 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

// A lateDelivery delivers the next command that has its mark late, after the sender has
// received the error of a broken connection.
type lateDelivery struct {
	mark  string
	after time.Duration
	to    *redis.Client
	done  chan error
}

func (h *lateDelivery) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *lateDelivery) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h *lateDelivery) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		words := slices.Clone(cmd.Args())
		if h.mark == "" || len(words) < 4 || words[3] != h.mark {
			return next(ctx, cmd)
		}
		h.mark = ""
		go func() {
			time.Sleep(h.after)
			h.done <- h.to.Do(context.Background(), words...).Err()
		}()
		cmd.SetErr(io.ErrUnexpectedEOF)
		return io.ErrUnexpectedEOF
	}
}

func TestARequestThatArrivesLateIsGivenBackToo(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		k := newLockerOn(t, s, rdb)
		warm(t, k)
		late := &lateDelivery{keyOf(s, "1"), 4 * time.Second, s.Client(), make(chan error, 1)}
		rdb.AddHook(late)
		if _, err := k.Try(t.Context(), "1"); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("Try = %v", err)
		}
		if err := <-late.done; err != nil || !exists(t, s, "1") {
			t.Fatalf("the late copy: %v; it has taken the lock: %v", err, exists(t, s, "1"))
		}
		time.Sleep(10 * time.Second / 3)
		if exists(t, s, "1") {
			t.Error("the lock is still held a third of its TTL later")
		}
		began := time.Now()
		if err := k.Close(); err != nil || time.Since(began) != 0 {
			t.Errorf("Close = %v after %v, want nothing left to wait for", err, time.Since(began))
		}
	})
}

func TestAReleaseWhoseReplyIsLostIsNeitherSuccessNorLoss(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy, rdb := through(t, s)
		var reported redistest.Recorder
		k := newLockerOn(t, s, rdb, onError(&reported))
		warm(t, k)
		l := mustTry(t, k, "1")
		lost := proxy.DropReply(keyOf(s, "1"))
		err := l.Release(t.Context())
		<-lost
		if err == nil || errors.Is(err, lock.ErrLost) {
			t.Errorf("Release = %v, want an error that is no ErrLost", err)
		}
		if exists(t, s, "1") {
			t.Error("the lock was not given back")
		}

		err = k.Do(t.Context(), "2", func(context.Context, *lock.Lock) error {
			lost = proxy.DropReply(keyOf(s, "2"))
			return nil
		})
		<-lost
		if err != nil || exists(t, s, "2") {
			t.Errorf("Do = %v, want fn's nil; the lock exists: %v", err, exists(t, s, "2"))
		}
		if !reported.Has("release") || len(reported.All()) != 1 {
			t.Errorf("OnError received %v, want the release that Do could not confirm", reported.All())
		}
	})
}

func TestAReleaseThatDidNotArriveIsSentAgain(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		var broken fault
		k := newLockerOn(t, s, broken.client(s))
		l := mustTry(t, k, "1")
		broken.set(func(func() error, ...string) error { broken.clear(); return io.EOF })
		if err := l.Release(t.Context()); err != nil || exists(t, s, "1") {
			t.Errorf("Release = %v; the lock exists: %v", err, exists(t, s, "1"))
		}
	})
}

func TestAReleaseIsBounded(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy, rdb := through(t, s)
		k := newLockerOn(t, s, rdb, ttl(time.Second))
		l := mustTry(t, k, "1")
		proxy.BlackHole()
		err := l.Release(context.WithoutCancel(t.Context()))
		proxy.Heal()
		if err == nil || errors.Is(err, lock.ErrLost) {
			t.Errorf("Release = %v, want a time-out", err)
		}
	})
}

func TestALockIsLostWhenTheNetworkDropsEverything(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy, rdb := through(t, s)
		k := newLockerOn(t, s, rdb, ttl(time.Second))
		l := mustTry(t, k, "1")
		proxy.BlackHole()
		<-l.Context().Done()
		if cause := context.Cause(l.Context()); !errors.Is(cause, lock.ErrLost) {
			t.Errorf("the context's cause is %v, want ErrLost", cause)
		}
		proxy.Heal()
		if err := l.Release(t.Context()); !errors.Is(err, lock.ErrLost) {
			t.Errorf("Release = %v, want ErrLost", err)
		}
	})
}

func TestAnAnnouncementThatIsRefusedDoesNotFailTheRelease(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		user, withoutChannels := s.User("~* +@all resetchannels")
		var reported redistest.Recorder
		poll := func(c *lock.Config) { c.Poll = 20 * time.Millisecond }
		k := newLockerOn(t, s, s.Client(withoutChannels), onError(&reported))
		l := mustTry(t, k, "1")
		var byWaiter redistest.Recorder
		waiting := acquire(t.Context(), newLockerOn(t, s, s.Client(withoutChannels), poll, onError(&byWaiter)), "1")
		redistest.Eventually(t, func() bool { return byWaiter.Has("listen for releases") }, "the waiter reports that announcements do not arrive")
		if err := l.Release(t.Context()); err != nil {
			t.Errorf("Release = %v", err)
		}
		if !reported.Has("announce a release") {
			t.Errorf("OnError received %v, want the refused channel", reported.All())
		}
		if r := <-waiting; r.Err != nil {
			t.Errorf("the waiter, which polls: %v", r.Err)
		}
		for _, err := range append(reported.All(), byWaiter.All()...) {
			if strings.Contains(err.Error(), user) {
				t.Errorf("an error names the user: %v", err)
			}
		}
	})
}

func TestARequestThatWasNeverSentIsNotAbandoned(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy, rdb := through(t, s)
		k := newLockerOn(t, s, rdb)
		proxy.Down()
		if _, err := k.Try(t.Context(), "1"); err == nil {
			t.Error("Try = nil without a server")
		}
		if got := k.Stats(); got.Abandoned != 0 || got.RedisErrors != 1 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestAbandonedRequestsAreBounded(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var broken fault
		k := newLockerOn(t, s, broken.client(s))
		calls := make(chan struct{}, 10*lock.MaxCleanups)
		broken.set(func(func() error, ...string) error { calls <- struct{}{}; return io.EOF })
		const requests = 3 * lock.MaxCleanups
		for range requests {
			if _, err := k.Try(t.Context(), "1"); !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := len(calls); n > requests+lock.MaxCleanups {
			t.Errorf("%d requests, want %d and a bounded number of releases", n, requests)
		}
		time.Sleep(time.Minute)
		if n := len(calls); n > requests+4*lock.MaxCleanups {
			t.Errorf("%d requests, want each looked after for a TTL", n)
		}
		broken.clear()
	})
}

// keepBack is a hook, as a circuit breaker may be, that refuses pipelines
// without a word in their commands.
type keepBack struct{ redistest.Commands }

func (keepBack) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error { return io.ErrClosedPipe }
}

func (keepBack) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func TestAPipelineThatAHookRefusedGrantsNothing(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		replicated := newLockerOn(t, s, rdb, func(c *lock.Config) { c.Replicas = lock.Replicas{N: 1, Timeout: time.Millisecond} })
		rdb.AddHook(keepBack{})
		if _, err := replicated.Try(t.Context(), "1"); !errors.Is(err, io.ErrClosedPipe) && !strings.Contains(err.Error(), "withheld") {
			t.Errorf("Try = %v, want the hook's refusal", err)
		}
	})
}

// The request was on its way when Close came.
func TestALockGrantedAfterCloseIsGivenBack(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var slow fault
		k := newLockerOn(t, s, slow.client(s))
		slow.set(func(next func() error, _ ...string) error {
			err := next()
			time.Sleep(time.Second)
			return err
		})
		try := redistest.Async(func() (*lock.Lock, error) { return k.Try(t.Context(), "1") })
		synctest.Wait()
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		if r := <-try; !errors.Is(r.Err, lock.ErrClosed) {
			t.Errorf("Try = %v, want ErrClosed", r.Err)
		}
		if exists(t, s, "1") {
			t.Error("the lock is still there")
		}
	})
}
