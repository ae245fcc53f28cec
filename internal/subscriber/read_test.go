package subscriber

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/redistest"
)

// framed subscribes at a server that answers the first SUBSCRIBE with frame, waits
// until the next one is confirmed, and returns what OnError received.
func framed(t testing.TB, frame string, liveness time.Duration) []error {
	s := redistest.Mini(t)
	var sent atomic.Bool
	s.Mini().Server().SetPreHook(func(p *server.Peer, name string, _ ...string) bool {
		if name != "SUBSCRIBE" || sent.Swap(true) {
			return false
		}
		p.WriteRaw(frame)
		p.Flush()
		return true
	})
	var got record
	cfg := got.config()
	cfg.Liveness = liveness
	sub, err := New(s.Client(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := sub.Subscribe(t.Context(), "c"); err != nil && !isReply(err) {
		t.Errorf("%q: %v", frame, err)
	}
	return got.failures()
}

// isReply reports whether err is an error reply, which is final for the topic.
func isReply(err error) bool {
	_, ok := err.(redis.Error)
	return ok
}

func TestAFrameOfAnUnknownShapeEndsOnlyTheConnection(t *testing.T) {
	t.Parallel()
	for _, frame := range oddFrames {
		errs := framed(t, frame, 50*time.Millisecond)
		if len(errs) == 0 {
			t.Errorf("%q was accepted", frame)
		}
		for _, err := range errs {
			if strings.Contains(err.Error(), "c4nary") {
				t.Errorf("%q: %v", frame, err)
			}
		}
	}
}

var oddFrames = []string{
	"*0\r\n", "*1\r\n:1\r\n", "*1\r\n$9\r\nsubscribe\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n$6\r\nc4nary\r\n",
	"*3\r\n$7\r\nmessage\r\n:1\r\n:1\r\n", "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n*1\r\n:1\r\n", "*2\r\n$8\r\npmessage\r\n$1\r\nc\r\n",
	"*2\r\n$4\r\npong\r\n:1\r\n", "*2\r\n$6\r\nc4nary\r\n$6\r\nc4nary\r\n", "$6\r\nc4nary\r\n", ":1\r\n", "*-1\r\n", "$-1\r\n", "c4nary\r\n",
	"%1\r\n+c4nary\r\n", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n",
}

// go-redis panics at an empty array.
func TestAPanicAtAFrameIsReportedWithItsStack(t *testing.T) {
	t.Parallel()
	errs := framed(t, "*0\r\n", time.Minute) // or Liveness may end the connection first
	panicked := slices.IndexFunc(errs, func(err error) bool {
		panicked, ok := errors.AsType[*life.PanicError](err)
		return ok && bytes.Contains(panicked.Stack, []byte("PubSub"))
	})
	if panicked < 0 || !slices.Contains(errs, error(errUnexpected)) {
		t.Errorf("reported %v, want a *life.PanicError and the loss of the connection", errs)
	}
}

func TestAPanickingCallbackIsAGap(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		var got *record
		sub, got := open(t, s.Client(), func(cfg *Config) {
			cfg.OnMessage = func(m *redis.Message) {
				if m.Payload == "bad" {
					panic("canary")
				}
				got.add(m.Payload)
			}
		})
		subscribe(t, sub, s.Prefix())
		rdb := s.Client()
		publish(t, rdb, s.Prefix(), "bad", 1)
		got.await(t, gap)
		redistest.Eventually(t, func() bool { return rdb.Publish(t.Context(), s.Prefix(), "good").Val() == 1 }, "one receiver")
		redistest.Eventually(t, func() bool { return got.count("good") > 0 }, "received")
		errs := got.failures()
		if panicked, ok := errors.AsType[*life.PanicError](errs[0]); len(errs) != 1 || !ok || panicked.Value != "canary" ||
			!bytes.Contains(panicked.Stack, []byte("TestAPanickingCallbackIsAGap")) {
			t.Errorf("reported %v, want one *life.PanicError with the callback's stack", errs)
		}
	})
}

func FuzzNoFrameMakesASubscriberPanic(f *testing.F) {
	for _, frame := range oddFrames {
		f.Add(frame)
	}
	f.Fuzz(func(t *testing.T, frame string) {
		run := 0
		for _, c := range frame {
			if run++; c < '0' || c > '9' {
				run = 0
			}
			if run > 4 {
				return // go-redis allocates what a frame announces
			}
		}
		framed(t, frame, 50*time.Millisecond)
	})
}
