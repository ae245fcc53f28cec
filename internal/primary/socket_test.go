package primary

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
)

// A write without an answer may lie in a buffer when its caller gives up. It must not
// arrive after a newer one.
func TestAClosedConnectionWithdrawsWhatItHasNotSent(t *testing.T) {
	t.Parallel()
	for name, answered := range map[string]bool{"unanswered": false, "answered": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, server := pair(t, New(config(t)))
			if _, err := s.Write([]byte("SET")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(server, make([]byte, 3)); err != nil {
				t.Fatal(err)
			}
			if answered {
				if _, err := server.Write([]byte("+")); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
			_, err := server.Read(make([]byte, 1))
			if reset := errors.Is(err, syscall.ECONNRESET); reset == answered {
				t.Errorf("the server sees %v", err)
			}
		})
	}
}

func TestADoubtfulConnectionAnswersAPingBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr())
	w := New(config(t))
	rdb := client(t, w, proxy.Addr())
	warm(t, rdb, 4)
	connections := proxy.Connections()
	if err := w.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	pings := proxy.Requests("ping")
	for range 10 {
		if err := rdb.Get(t.Context(), "k").Err(); err == nil || err.Error() != "redis: nil" {
			t.Fatal(err)
		}
	}
	if got := proxy.Requests("ping") - pings; got != 1 {
		t.Errorf("%d PINGs for ten calls on one healthy connection", got)
	}
	if got := proxy.Connections(); got != connections+1 { // that of the probe
		t.Errorf("%d connections were made", got-connections)
	}
}

func TestAnAnsweredDialPutsWhatFollowsInDoubt(t *testing.T) {
	t.Parallel()
	w := New(config(t))
	server := redistest.Start(t)
	h, _ := follow(t, w, server.Addr())
	pooled, err := w.Dial(t.Context(), "tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer pooled.Close()
	w.TimedOut(time.Now())
	redistest.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.doubts == 1
	}, "the connection that follows must show that its server is there")
}

// All contexts end before the replies come, and the processors are busy: the server is
// suspected again and again. Its connections are healthy, and none is closed for that.
func TestSuspicionClosesNoHealthyConnection(t *testing.T) { // alone: it takes all processors
	server := redistest.Start(t)
	w := New(config(t))
	rdb := client(t, w, server.Addr())
	warm(t, rdb, 8)
	var stop atomic.Bool
	var spinning sync.WaitGroup
	for range 16 {
		spinning.Go(func() {
			for !stop.Load() {
			}
		})
	}
	before := rdb.PoolStats().StaleConns
	for start := time.Now(); time.Since(start) < 3*time.Second; {
		w.TimedOut(time.Now())
		if err := rdb.Set(t.Context(), "k", "v", time.Minute).Err(); err != nil {
			t.Errorf("a healthy server: %v", err)
			break
		}
	}
	stop.Store(true)
	spinning.Wait()
	if stale := rdb.PoolStats().StaleConns - before; stale != 0 {
		t.Errorf("%d healthy connections were closed", stale)
	}
}
