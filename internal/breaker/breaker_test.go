package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/redact"
)

// server replaces a node: it answers pings and commands.
type server struct {
	pings, calls atomic.Int32
	opened       atomic.Int32
	ping         func(context.Context) error
	process      redis.ProcessHook
	b            *breaker.Breaker
}

// newServer returns a node that answers everything with err, behind a Breaker.
func newServer(err error, resend bool) *server {
	s := &server{ping: func(context.Context) error { return err }}
	s.b = breaker.New(func(ctx context.Context) error {
		s.pings.Add(1)
		return s.ping(ctx)
	}, func() { s.opened.Add(1) }, resend)
	s.answer(err)
	return s
}

func (s *server) answer(err error) {
	s.process = s.b.ProcessHook(func(context.Context, redis.Cmder) error {
		s.calls.Add(1)
		return err
	})
}

func (s *server) get(ctx context.Context) error { return s.process(ctx, redis.NewCmd(ctx, "get", "k")) }

func (s *server) open(t *testing.T) {
	t.Helper()
	s.ping = func(context.Context) error { return refusedDial }
	s.answer(refusedDial)
	for range breaker.Threshold {
		if err := s.get(t.Context()); err != refusedDial {
			t.Fatalf("a call before the breaker opened: %v", err)
		}
	}
	if err := s.get(t.Context()); err != breaker.ErrOpen {
		t.Fatalf("after %d failures in a row: %v", breaker.Threshold, err)
	}
}

type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

var refusedDial = &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

func TestOnlyFailuresOfTheServerOpenTheBreaker(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		err   error
		after time.Duration
		opens bool
	}{
		{"refused", refusedDial, 0, true},
		{"no such host", &net.OpError{Op: "dial", Err: &net.DNSError{Name: "redis", IsNotFound: true}}, 0, true},
		{"no route", syscall.EHOSTUNREACH, 0, true},
		{"end of a connection", io.EOF, 0, false},
		{"reset of a connection", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, 0, false},
		{"LOADING", reply("LOADING Redis is loading the dataset in memory"), 0, true},
		{"MASTERDOWN", reply("MASTERDOWN Link with MASTER is down"), 0, true},
		{"no client slot", reply("ERR max number of clients reached"), 0, true},
		{"CLUSTERDOWN", reply("CLUSTERDOWN Hash slot not served"), 0, false},
		{"MISCONF", reply("MISCONF Redis is configured to save RDB snapshots"), 0, false},
		{"NOPERM", reply("NOPERM this user has no permissions"), 0, false},
		{"BUSY", reply("BUSY Redis is busy running a script"), 0, false},
		{"pool time-out", redis.ErrPoolTimeout, breaker.Patience, false},
		{"time-out", os.ErrDeadlineExceeded, breaker.Patience, true},
		{"long deadline", context.DeadlineExceeded, breaker.Patience, true},
		{"short deadline", context.DeadlineExceeded, breaker.Patience - 1, false},
		{"short time-out", &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, breaker.Patience - 1, false},
		{"cancelled", context.Canceled, time.Second, false},
		{"miss", redis.Nil, 0, false},
		{"wrong type", reply("WRONGTYPE Operation against a key"), 0, false},
		{"closed client", redis.ErrClosed, 0, false},
		{"unparsable", fmt.Errorf("redis: can't marshal"), time.Second, false},
		{"not a number", strconv.ErrSyntax, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newServer(nil, false)
				hook := s.b.ProcessHook(func(context.Context, redis.Cmder) error {
					time.Sleep(test.after)
					return fmt.Errorf("wrapped: %w", test.err)
				})
				for range breaker.Threshold {
					_ = hook(t.Context(), redis.NewCmd(t.Context(), "get", "k"))
				}
				err := hook(t.Context(), redis.NewCmd(t.Context(), "get", "k"))
				if opened := err == breaker.ErrOpen; opened != test.opens {
					t.Errorf("opened: %v, want %v (%v)", opened, test.opens, err)
				}
			})
		})
	}
}

func TestASuccessInBetweenStartsTheCountAgain(t *testing.T) {
	t.Parallel()
	s := newServer(nil, false)
	for range 3 {
		s.answer(refusedDial)
		for range breaker.Threshold - 1 {
			_ = s.get(t.Context())
		}
		s.answer(redis.Nil) // a reply
		if err := s.get(t.Context()); err != redis.Nil {
			t.Fatalf("opened although never %d failed in a row: %v", breaker.Threshold, err)
		}
	}
}

func TestAHandshakeIsNeverCounted(t *testing.T) {
	t.Parallel()
	s := newServer(refusedDial, false)
	for range 2 * breaker.Threshold {
		for _, name := range []string{"hello", "auth", "client", "select", "readonly"} {
			if err := s.process(t.Context(), redis.NewCmd(t.Context(), name)); err != refusedDial {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	// a handshake that succeeds does not reset the count of failed commands
	s = newServer(refusedDial, false)
	for range breaker.Threshold {
		_ = s.b.ProcessHook(func(context.Context, redis.Cmder) error { return nil })(t.Context(), redis.NewCmd(t.Context(), "hello", "2"))
		_ = s.get(t.Context())
	}
	if err := s.get(t.Context()); err != breaker.ErrOpen {
		t.Errorf("handshakes that succeed kept the breaker closed: %v", err)
	}
}

func TestAnOpenBreakerRefusesUntilItsPauseEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, false)
		s.open(t)
		if s.opened.Load() != 1 {
			t.Errorf("opened was called %d times", s.opened.Load())
		}
		calls := s.calls.Load()
		time.Sleep(breaker.Pause - 1)
		if err := s.get(t.Context()); err != breaker.ErrOpen {
			t.Errorf("within the pause: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := s.get(t.Context()); err != breaker.ErrOpen || s.pings.Load() != 1 {
			t.Errorf("the pause over, the server silent: %v after %d pings", err, s.pings.Load())
		}
		if s.calls.Load() != calls {
			t.Error("a command went out while the breaker was open")
		}
		time.Sleep(breaker.Pause - 1)
		if err := s.get(t.Context()); err != breaker.ErrOpen || s.pings.Load() != 1 {
			t.Errorf("a failed ping must open it for another pause: %v after %d pings", err, s.pings.Load())
		}
	})
}

func TestAnAnsweredPingClosesTheBreakerAndRunsTheCommand(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{"PONG": nil, "a refusal is an answer": reply("NOPERM this user")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newServer(nil, false)
				s.open(t)
				time.Sleep(breaker.Pause)
				s.ping = func(context.Context) error { return answer }
				s.answer(nil)
				for range 3 {
					if err := s.get(t.Context()); err != nil {
						t.Fatalf("the server is back: %v", err)
					}
				}
				if s.pings.Load() != 1 {
					t.Errorf("%d pings, want 1", s.pings.Load())
				}
			})
		})
	}
}

func TestExactlyOneOfManyCallersPings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, false)
		s.open(t)
		s.ping = func(ctx context.Context) error { time.Sleep(time.Second); return io.EOF }
		time.Sleep(breaker.Pause)
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				if err := s.get(t.Context()); err != breaker.ErrOpen {
					t.Errorf("got %v", err)
				}
			})
		}
		synctest.Wait() // 99 refused at once, one pinging
		if s.pings.Load() != 1 {
			t.Errorf("%d pings", s.pings.Load())
		}
		callers.Wait()
	})
}

func TestRacingCallersPingOnce(t *testing.T) {
	t.Parallel()
	s := newServer(nil, false)
	s.open(t)
	release := make(chan struct{})
	s.ping = func(context.Context) error { <-release; return nil }
	time.Sleep(breaker.Pause)
	var callers sync.WaitGroup
	var refused atomic.Int32
	for range 64 {
		callers.Go(func() {
			if s.get(t.Context()) == breaker.ErrOpen {
				if refused.Add(1) == 63 {
					close(release)
				}
			}
		})
	}
	callers.Wait()
	if s.pings.Load() != 1 || refused.Load() != 63 {
		t.Errorf("%d pings, %d refused", s.pings.Load(), refused.Load())
	}
}

func TestAfterACancelledPingTheNextCallerPings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, false)
		s.open(t)
		time.Sleep(breaker.Pause)
		s.ping = func(context.Context) error { return context.Canceled }
		if err := s.get(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that gave up got %v", err)
		}
		s.ping = func(context.Context) error { return nil }
		s.answer(nil)
		if err := s.get(t.Context()); err != nil || s.pings.Load() != 2 {
			t.Errorf("%v after %d pings", err, s.pings.Load())
		}
	})
}

func TestAPingThatIsNeverAnsweredEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, false)
		s.open(t)
		time.Sleep(breaker.Pause)
		s.ping = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		if err := s.get(context.Background()); err != breaker.ErrOpen {
			t.Errorf("got %v", err)
		}
		time.Sleep(breaker.Pause)
		s.ping = func(context.Context) error { return nil }
		s.answer(nil)
		if err := s.get(t.Context()); err != nil {
			t.Errorf("the server is back: %v", err)
		}
	})
}

func TestAfterAPanicInAPingTheNextCallerPings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, false)
		s.open(t)
		time.Sleep(breaker.Pause)
		s.ping = func(context.Context) error { panic("a hook of the user's") }
		func() {
			defer func() { _ = recover() }()
			_ = s.get(t.Context())
		}()
		s.ping = func(context.Context) error { return nil }
		s.answer(nil)
		if err := s.get(t.Context()); err != nil {
			t.Errorf("wedged: %v", err)
		}
	})
}

func TestAPingAndItsHandshakeAreNotRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, false)
		s.open(t)
		time.Sleep(breaker.Pause)
		s.answer(nil)
		s.ping = func(ctx context.Context) error {
			if err := s.process(ctx, redis.NewCmd(ctx, "hello", "2")); err != nil {
				return err
			}
			return s.process(ctx, redis.NewCmd(ctx, "ping"))
		}
		if err := s.get(t.Context()); err != nil {
			t.Errorf("the ping was refused by its own breaker: %v", err)
		}
	})
}

func TestCallsThatBeganBeforeTheBreakerClosedDoNotOpenItAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, false)
		late := s.b.ProcessHook(func(context.Context, redis.Cmder) error {
			time.Sleep(time.Minute)
			return os.ErrDeadlineExceeded
		})
		var stuck sync.WaitGroup
		for range 2 * breaker.Threshold {
			stuck.Go(func() { _ = late(t.Context(), redis.NewCmd(t.Context(), "get", "k")) })
		}
		synctest.Wait()
		s.open(t)
		time.Sleep(breaker.Pause)
		s.ping = func(context.Context) error { return nil }
		s.answer(nil)
		if err := s.get(t.Context()); err != nil {
			t.Fatal(err)
		}
		stuck.Wait()
		if err := s.get(t.Context()); err != nil {
			t.Errorf("stuck commands of the outage opened it again: %v", err)
		}
	})
}

func TestATimeoutOfABlockingCommandIsNotCounted(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, test := range []struct {
		args  []any
		err   error
		opens bool
	}{
		{[]any{"BLPOP", "k", 0}, context.DeadlineExceeded, false},
		{[]any{"bzpopmin", "k", 0}, os.ErrDeadlineExceeded, false},
		{[]any{"wait", 1, 0}, context.DeadlineExceeded, false},
		{[]any{"xreadgroup", "group", "g", "c", "block", 0, "streams", "s", ">"}, context.DeadlineExceeded, false},
		{[]any{"xreadgroup", "group", "g", "c", "streams", "s", ">"}, context.DeadlineExceeded, true},
		{[]any{"lpop", "k"}, context.DeadlineExceeded, true},
		{[]any{"blpop", "k", 0}, refusedDial, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(nil, true)
			hook := s.b.ProcessHook(func(context.Context, redis.Cmder) error {
				time.Sleep(time.Minute)
				return test.err
			})
			for range breaker.Threshold {
				_ = hook(ctx, redis.NewCmd(ctx, test.args...))
			}
			err := hook(ctx, redis.NewCmd(ctx, test.args...))
			if opened := err == breaker.ErrOpen; opened != test.opens {
				t.Errorf("%v, %v: opened %v, want %v", test.args, test.err, opened, test.opens)
			}
		})
	}
}

// A server that closes every new connection is as dead as one that refuses them.
func TestAClosedConnectionCountsOnlyIfNewOnesAreClosedToo(t *testing.T) {
	t.Parallel()
	s := newServer(io.EOF, true)
	for range breaker.Threshold {
		if err := s.get(t.Context()); err != io.EOF {
			t.Fatal(err)
		}
	}
	if err := s.get(t.Context()); err != breaker.ErrOpen {
		t.Errorf("the server hung up on every attempt: %v", err)
	}

	s = newServer(nil, true)
	ends := 0
	hook := s.b.ProcessHook(func(context.Context, redis.Cmder) error {
		if ends++; ends%2 == 1 {
			return io.EOF
		}
		return nil
	})
	for range 2 * breaker.Threshold {
		if err := hook(t.Context(), redis.NewCmd(t.Context(), "get", "k")); err != nil {
			t.Fatalf("a pool of dead connections must cost no call: %v", err)
		}
	}
}

func TestAFailedDialReturnsAConnectionThatFails(t *testing.T) {
	t.Parallel()
	s := newServer(nil, false)
	dial := s.b.DialHook(func(context.Context, string, string) (net.Conn, error) { return nil, refusedDial })
	conn, err := dial(t.Context(), "tcp", "127.0.0.1:1")
	if err != nil {
		t.Fatalf("the pool must not see a failed dial: %v", err)
	}
	var op *net.OpError
	if _, err := conn.Write([]byte("x")); !errors.As(err, &op) || op.Op != "dial" || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("writing gives %v, want the dial's error", err)
	}
	if _, err := conn.(syscall.Conn).SyscallConn(); err == nil {
		t.Error("a dead connection passes the pool's health check")
	}
}

func TestAPingSkipsPooledConnectionsThatTheServerClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stale := 12
		b := breaker.New(func(context.Context) error {
			if stale--; stale >= 0 {
				return io.EOF
			}
			return nil
		}, func() {}, false)
		var answer error = refusedDial
		hook := b.ProcessHook(func(context.Context, redis.Cmder) error { return answer })
		get := func() error { return hook(t.Context(), redis.NewCmd(t.Context(), "get", "k")) }
		for range breaker.Threshold {
			_ = get()
		}
		if err := get(); err != breaker.ErrOpen {
			t.Fatalf("not open: %v", err)
		}
		answer = nil
		time.Sleep(breaker.Pause)
		if err := get(); err != nil {
			t.Errorf("the first call after the pause: %v", err)
		}
	})
}

func TestErrOpenKeepsItsIdentityWhenCleaned(t *testing.T) {
	if err := redact.Clean(fmt.Errorf("get canary: %w", breaker.ErrOpen)); err != breaker.ErrOpen {
		t.Errorf("Clean returned %v", err)
	}
}
