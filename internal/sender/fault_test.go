package sender_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

// together runs n calls that share one pipeline.
func together(t *testing.T, g *gate, c *sender.Sender, class sender.Class, n int, call func(i int) error) []error {
	t.Helper()
	others := g.fill(t, c, class, "busy")
	errs := make([]error, n)
	for i := range errs {
		others.Go(func() { errs[i] = call(i) })
	}
	redistest.Eventually(t, func() bool { return c.Queued() == n }, "all are queued")
	close(g.open)
	others.Wait()
	return errs
}

// through is a client that re-sends after a lost reply, as go-redis does by
// default, and reaches s by a proxy.
func through(t *testing.T, s *redistest.Server) (*redis.Client, *redistest.Proxy) {
	proxy := redistest.StartProxy(t, s.Addr())
	return s.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), 3 }), proxy
}

func TestALostReplyNeverDoublesACharge(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, proxy := through(t, s)
		g, c := newGate(rdb), sender.New(rdb, false)
		const callers, lost = 50, 20
		key := func(i int) string { return fmt.Sprintf("%s:%02d:", s.Prefix(), i) }
		proxy.DropReply(key(lost))
		errs := together(t, g, c, sender.Charge, callers, func(i int) error {
			_, err := charge(t.Context(), c, key(i))
			return err
		})
		failed := 0
		for i, err := range errs {
			if err != nil {
				failed++
			}
			if n, _ := s.Client().Get(t.Context(), key(i)).Int(); n != 1 {
				t.Errorf("charge %d ran %d times (%v)", i, n, err)
			}
		}
		if failed == 0 || errs[lost] == nil {
			t.Errorf("%d callers got an error; that of the lost reply %v", failed, errs[lost])
		}
		for i := range callers {
			s.Client().Del(t.Context(), key(i))
		}
	})
}

func TestReadsAreSentAgainAfterALostReply(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, proxy := through(t, s)
		g, c := newGate(rdb), sender.New(rdb, false)
		lost := proxy.DropReply(s.Prefix() + ":7")
		for i, err := range together(t, g, c, sender.Read, 50, func(i int) error {
			_, err := get(t.Context(), c, fmt.Sprint(s.Prefix(), ":", i))
			return err
		}) {
			if err != redis.Nil {
				t.Errorf("read %d: %v", i, err)
			}
		}
		<-lost
	})
}

func TestAnOpenBreakerFailsWhatIsQueuedWithoutSendingIt(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	breaker.Guard(rdb, breaker.Config{MaxWaiting: 1000})
	g, c := newGate(rdb), sender.New(rdb, false)
	var down atomic.Bool
	down.Store(true)
	rdb.AddHook(hook(func(_ context.Context, _ []redis.Cmder, next func() error) error {
		if down.Load() {
			return &net.OpError{Op: "read", Err: syscall.EHOSTUNREACH}
		}
		return next()
	}))
	close(g.open)
	for range breaker.Threshold - 1 {
		if _, err := get(t.Context(), c, "k"); err == nil || errors.Is(err, breaker.ErrOpen) {
			t.Fatalf("a read before the breaker opens: %v", err)
		}
	}
	g.open = make(chan struct{})
	for i, err := range together(t, g, c, sender.Read, 50, func(int) error { _, err := get(t.Context(), c, "queued"); return err }) {
		if !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if sent := len(g.sent()) - (breaker.Threshold - 1); sent != sender.MaxDirect+sender.MaxPipelines {
		t.Errorf("%d round trips, want only those that began before the breaker opened", sent)
	}
	down.Store(false)
	redistest.Eventually(t, func() bool { _, err := get(t.Context(), c, "k"); return err == redis.Nil }, "it closes")
}

func TestACutConnectionFailsOnlyWhatWasUnderWay(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, proxy := through(t, s)
		c := sender.New(rdb, false)
		var all sync.WaitGroup
		var failed atomic.Int64
		for range 32 {
			all.Go(func() {
				for range 200 {
					if _, err := charge(t.Context(), c, s.Prefix()); err != nil {
						failed.Add(1)
					}
				}
			})
		}
		redistest.Eventually(t, func() bool { return proxy.Requests("INCR") > 500 }, "charges run")
		proxy.Cut()
		all.Wait()
		n, err := rdb.Get(t.Context(), s.Prefix()).Int64()
		rdb.Del(t.Context(), s.Prefix())
		if known := 32*200 - failed.Load(); err != nil || n < known || n > known+failed.Load() {
			t.Errorf("charged %d, %v; %d callers know that they were, %d do not know", n, err, known, failed.Load())
		}
	})
}

func TestPipelinesDialWithTheRotatedPassword(t *testing.T) {
	t.Parallel()
	server, ctx := redistest.Start(t), t.Context()
	admin := server.Client()
	user := func(rules ...any) {
		t.Helper()
		if err := admin.Do(ctx, append([]any{"ACL", "SETUSER", "app"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	user("on", ">first", "~*", "+@all")
	var password atomic.Pointer[string]
	turnTo := func(p string) { password.Store(&p) }
	turnTo("first")
	rdb := server.Client(func(o *redis.Options) {
		o.CredentialsProviderContext = func(context.Context) (string, string, error) { return "app", *password.Load(), nil }
	})
	c := sender.New(rdb, false)
	read := func() error {
		return errors.Join(together(t, newGate(rdb), c, sender.Read, 20, func(i int) error {
			if _, err := get(ctx, c, fmt.Sprint(i)); !errors.Is(err, redis.Nil) {
				return err
			}
			return nil
		})...)
	}
	if err := read(); err != nil {
		t.Error(err)
	}
	user(">second")
	turnTo("second")
	user("<first")
	if err := admin.ClientKillByFilter(ctx, "USER", "app").Err(); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, func() bool { return read() == nil }, "the new password is used")
}
