package subscriber

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestASilentServerIsAGap(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb, ch := s.Client(), s.Prefix()
		sub, got := open(t, through(s, proxy), liveness(100*time.Millisecond))
		subscribe(t, sub, ch)
		proxy.BlackHole()
		redistest.Eventually(t, func() bool { return len(got.failures()) > 0 }, "found silent")
		if err := got.failures()[0]; !errors.Is(err, errSilent) {
			t.Errorf("reported %v", err)
		}
		proxy.Cut() // so that the healed network delivers nothing to connections that were given up
		proxy.Heal()
		got.await(t, gap)
		redistest.Eventually(t, func() bool { return rdb.Publish(t.Context(), ch, "1").Val() == 1 }, "one receiver")
		redistest.Eventually(t, func() bool { return got.count("1") > 0 }, "received")
	})
}

func TestAnIdleConnectionStaysAlive(t *testing.T) {
	t.Parallel()
	for _, protocol := range []int{2, 3} {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			rdb := s.Client(func(o *redis.Options) { o.Protocol = protocol })
			sub, got := open(t, rdb, liveness(time.Second))
			subscribe(t, sub, "ch")
			time.Sleep(10 * time.Minute)
			publish(t, rdb, "ch", "1", 1)
			got.await(t, "1")
			sub.Unsubscribe("ch")
			time.Sleep(10 * time.Minute) // without subscriptions, PING has another reply
			subscribe(t, sub, "ch")
			publish(t, rdb, "ch", "2", 1)
			got.await(t, "1", "2")
			if errs := got.failures(); len(errs) > 0 {
				t.Errorf("reported %v", errs)
			}
		})
	}
}

func TestABusyConnectionIsPingedToo(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		var pinged []time.Time
		sub, _ := open(t, rdb, liveness(time.Second), func(cfg *Config) {
			cfg.OnPong = func(at time.Time) { pinged = append(pinged, at) }
		})
		subscribe(t, sub, "ch")
		began := time.Now()
		for range 100 {
			publish(t, rdb, "ch", "x", 1)
			time.Sleep(100 * time.Millisecond)
		}
		if err := sub.Close(); err != nil {
			t.Fatal(err)
		}
		if n := len(pinged); n < 18 || n > 20 {
			t.Errorf("%d PONGs in 10 s; a PING is due after each half second", n)
		}
		for i, at := range pinged {
			if i > 0 && at.Before(pinged[i-1]) || at.Before(began.Add(-time.Second)) || at.After(time.Now()) {
				t.Errorf("PING %d was sent at %v", i, at)
			}
		}
	})
}

// A stalledConn is the connection of a process that stands still. Frames stay unread
// from when hold is set until release is closed, and the first write of "other" takes
// as long as stall.
type stalledConn struct {
	net.Conn
	hold, stalled *atomic.Bool
	release       chan struct{}
	stall         time.Duration
}

func (c stalledConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.hold.Load() {
		<-c.release
	}
	return n, err
}

func (c stalledConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("other")) && c.stalled.CompareAndSwap(false, true) {
		time.Sleep(c.stall)
		if err := c.SetWriteDeadline(time.Time{}); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// The PONG had arrived, and was not read yet.
func TestAProcessThatStoodStillSendsAnotherPING(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		const patience = time.Second
		conn := stalledConn{hold: &atomic.Bool{}, stalled: &atomic.Bool{}, release: make(chan struct{}), stall: 2 * patience}
		var dials atomic.Int32
		rdb := s.Client(func(o *redis.Options) {
			dial := o.Dialer
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials.Add(1)
				inner, err := dial(ctx, network, addr)
				on := conn
				on.Conn = inner
				return on, err
			}
		})
		sub, got := open(t, rdb, liveness(patience))
		subscribe(t, sub, "one")
		conn.hold.Store(true)
		time.Sleep(patience/2 + time.Millisecond) // a PING was sent
		other := redistest.Async(func() (struct{}, error) { return struct{}{}, sub.Subscribe(t.Context(), "other") })
		time.Sleep(conn.stall + time.Millisecond) // the time for its reply is over, and none was read
		conn.hold.Store(false)
		close(conn.release)
		if res := <-other; res.Err != nil {
			t.Errorf("Subscribe: %v", res.Err)
		}
		if errs := got.failures(); len(errs) > 0 || dials.Load() != 1 {
			t.Errorf("reported %v, %d connections", errs, dials.Load())
		}
	})
}
