package breaker_test

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
)

func TestOnlyACommandWhoseConnectionEndedIsSentAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	get := func() redis.Cmder { return redis.NewCmd(ctx, "get", "k") }
	for _, test := range []struct {
		name   string
		resend bool
		err    error
		cmd    redis.Cmder
		want   int32
	}{
		{"end of file", true, io.EOF, get(), 3},
		{"broken pipe", true, os.NewSyscallError("write", syscall.EPIPE), get(), 3},
		{"demoted primary", true, reply("READONLY You can't write against a read only replica."), get(), 3},
		{"time-out", true, os.ErrDeadlineExceeded, get(), 1},
		{"pool time-out", true, redis.ErrPoolTimeout, get(), 1},
		{"refused", true, refusedDial, get(), 1},
		{"other reply", true, reply("ERR no"), get(), 1},
		{"must not run twice", true, io.EOF, once{redis.NewCmd(ctx, "incr", "k")}, 1},
		{"handshake", true, io.EOF, redis.NewCmd(ctx, "hello", "2"), 1},
		{"Cluster client", false, io.EOF, get(), 1},
	} {
		s := newServer(test.err, test.resend)
		if err := s.process(ctx, test.cmd); err != test.err || s.calls.Load() != test.want {
			t.Errorf("%s: sent %d times, want %d (%v)", test.name, s.calls.Load(), test.want, err)
		}
	}

	s := newServer(io.EOF, true)
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	if _ = s.get(ctx); s.calls.Load() != 1 {
		t.Error("resent for a caller that is gone")
	}
}

func TestACommandThatWasSentIsNeverReportedAsRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, send := range map[string]func(b *breaker.Breaker, cut func() error) error{
		"command": func(b *breaker.Breaker, cut func() error) error {
			return b.ProcessHook(func(context.Context, redis.Cmder) error { return cut() })(ctx, redis.NewCmd(ctx, "incr", "k"))
		},
		"pipeline": func(b *breaker.Breaker, cut func() error) error {
			cmd := redis.NewCmd(ctx, "incr", "k")
			err := b.ProcessPipelineHook(func(_ context.Context, cmds []redis.Cmder) error {
				cmds[0].SetErr(cut())
				return cmds[0].Err()
			})(ctx, []redis.Cmder{cmd})
			return errors.Join(err, cmd.Err())
		},
	} {
		s := newServer(nil, true)
		sent := 0
		err := send(s.b, func() error {
			sent++
			s.open(t) // other calls open it while this one is under way
			return io.EOF
		})
		if !errors.Is(err, io.EOF) || errors.Is(err, breaker.ErrOpen) || sent != 1 {
			t.Errorf("%s: %v after it was sent %d times, want EOF after one", name, err, sent)
		}
	}
}

// A Cluster client repeats commands above the hooks of its nodes.
func TestARepeatedCommandThatIsRefusedKeepsItsFirstError(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, test := range []struct{ first, want error }{
		{nil, breaker.ErrOpen},
		{os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		{io.EOF, io.EOF},
		{redis.ErrPoolTimeout, redis.ErrPoolTimeout},
		{breaker.ErrOpen, breaker.ErrOpen},
		{reply("MOVED 1 127.0.0.1:1"), breaker.ErrOpen},
	} {
		s := newServer(nil, false)
		s.open(t)
		cmd, other := redis.NewCmd(ctx, "incr", "k"), redis.NewCmd(ctx, "get", "k")
		cmd.SetErr(test.first)
		if err := s.process(ctx, cmd); err != test.want {
			t.Errorf("after %v: %v, want %v", test.first, err, test.want)
		}
		hook := s.b.ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return nil })
		if err := hook(ctx, []redis.Cmder{cmd, other}); err != test.want || cmd.Err() != test.want || other.Err() != breaker.ErrOpen {
			t.Errorf("pipeline after %v: %v, %v, %v; want %v", test.first, err, cmd.Err(), other.Err(), test.want)
		}
	}
}

type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }

func TestAPipelineIsOneCallAndIsResentOnlyWhenNothingWasAnswered(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, test := range []struct {
		name     string
		answered bool
		cmds     []redis.Cmder
		want     int
	}{
		{"no answer", false, []redis.Cmder{redis.NewCmd(ctx, "get", "a"), redis.NewCmd(ctx, "get", "b")}, 3},
		{"half an answer", true, []redis.Cmder{redis.NewCmd(ctx, "incr", "a"), redis.NewCmd(ctx, "get", "b")}, 1},
		{"one must not run twice", false, []redis.Cmder{redis.NewCmd(ctx, "get", "a"), once{redis.NewCmd(ctx, "incr", "b")}}, 1},
	} {
		sent := 0
		b := breaker.New(func(context.Context) error { return nil }, func() {}, true)
		hook := b.ProcessPipelineHook(func(_ context.Context, cmds []redis.Cmder) error {
			sent++
			for i, cmd := range cmds {
				if i > 0 || !test.answered {
					cmd.SetErr(io.EOF)
				}
			}
			return io.EOF
		})
		if err := hook(ctx, test.cmds); err != io.EOF || sent != test.want {
			t.Errorf("%s: sent %d times, want %d (%v)", test.name, sent, test.want, err)
		}
	}

	s := newServer(nil, false)
	s.open(t)
	cmds := []redis.Cmder{redis.NewCmd(ctx, "get", "a"), redis.NewCmd(ctx, "get", "b")}
	hook := s.b.ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return nil })
	if err := hook(ctx, cmds); err != breaker.ErrOpen || cmds[0].Err() != breaker.ErrOpen || cmds[1].Err() != breaker.ErrOpen {
		t.Errorf("a refused pipeline must say so on each command: %v", err)
	}
}

func TestTheHookAddsNoAllocation(t *testing.T) {
	ctx := t.Context()
	var cmd redis.Cmder = redis.NewCmd(ctx, "get", "k")
	cmds := []redis.Cmder{cmd}
	s := newServer(nil, true)
	pipeline := s.b.ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return nil })
	if n := testing.AllocsPerRun(1000, func() { _ = s.process(ctx, cmd); _ = pipeline(ctx, cmds) }); n != 0 {
		t.Errorf("%v allocations on the healthy path", n)
	}
	s = newServer(nil, false)
	s.open(t)
	if n := testing.AllocsPerRun(1000, func() { _ = s.process(ctx, cmd) }); n != 0 {
		t.Errorf("%v allocations to refuse", n)
	}
}

func BenchmarkHook(b *testing.B) {
	ctx := b.Context()
	s := newServer(nil, true)
	cmd := redis.NewCmd(ctx, "get", "k")
	b.Run("closed", func(b *testing.B) {
		for b.Loop() {
			_ = s.process(ctx, cmd)
		}
	})
	s.answer(refusedDial)
	s.ping = func(context.Context) error { return refusedDial }
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			_ = s.process(ctx, cmd)
		}
	})
}
