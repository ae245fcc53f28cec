package subscriber

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// framed subscribes at a server whose first answer to SUBSCRIBE is frame, and
// returns once it is subscribed all the same.
func framed(t testing.TB, frame string) []error {
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
	var told record
	cfg := told.config()
	cfg.Liveness = 50 * time.Millisecond
	sub, err := New(s.Client(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := sub.Subscribe(t.Context(), "c"); err != nil && !isReply(err) {
		t.Errorf("%q: %v", frame, err)
	}
	return told.failures()
}

// isReply says whether the frame was an error of the server's, which is final
// for the topic.
func isReply(err error) bool {
	_, ok := err.(redis.Error)
	return ok
}

func TestAFrameOfAForeignShapeEndsTheConnectionAlone(t *testing.T) {
	t.Parallel()
	for _, frame := range foreignFrames {
		errs := framed(t, frame)
		if len(errs) == 0 {
			t.Errorf("%q was taken", frame)
		}
		for _, err := range errs {
			if strings.Contains(err.Error(), "c4nary") {
				t.Errorf("%q: %v", frame, err)
			}
		}
	}
}

var foreignFrames = []string{
	"*0\r\n", "*1\r\n:1\r\n", "*1\r\n$9\r\nsubscribe\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n$6\r\nc4nary\r\n",
	"*3\r\n$7\r\nmessage\r\n:1\r\n:1\r\n", "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n*1\r\n:1\r\n", "*2\r\n$8\r\npmessage\r\n$1\r\nc\r\n",
	"*2\r\n$4\r\npong\r\n:1\r\n", "*2\r\n$6\r\nc4nary\r\n$6\r\nc4nary\r\n", "$6\r\nc4nary\r\n", ":1\r\n", "*-1\r\n", "$-1\r\n", "c4nary\r\n",
	"%1\r\n+c4nary\r\n", "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n",
}

// Redis 7.2 names the user, of whom older ones say nothing.
func TestARefusalNamesNobody(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini().Server().SetPreHook(func(p *server.Peer, name string, _ ...string) bool {
		if name != "SUBSCRIBE" {
			return false
		}
		p.WriteError("NOPERM User c4nary has no permissions to access the 'c4nary' channel")
		return true
	})
	sub, got := open(t, s.Client())
	err := sub.Subscribe(within(t), "c4nary")
	if !redis.IsPermissionError(err) || strings.Contains(err.Error(), "c4nary") {
		t.Errorf("Subscribe: %v", err)
	}
	for _, err := range got.failures() {
		if strings.Contains(err.Error(), "c4nary") {
			t.Errorf("told %v", err)
		}
	}
}

func FuzzNoFrameMakesASubscriberPanic(f *testing.F) {
	for _, frame := range foreignFrames {
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
		framed(t, frame)
	})
}
