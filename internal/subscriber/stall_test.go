package subscriber

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// A stalledConn is the connection of a process that stands still: what the server
// says lies unread from when hold is set until release is closed, and the first write
// of an "other" takes stall.
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

// The PONG had come, and nobody had read it.
func TestWhoStoodStillAsksAgainBeforeTheConnectionIsGivenUp(t *testing.T) {
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
		time.Sleep(patience/2 + time.Millisecond) // it has asked
		other := redistest.Async(func() (struct{}, error) { return struct{}{}, sub.Subscribe(t.Context(), "other") })
		time.Sleep(conn.stall + time.Millisecond) // it has looked, and found nothing said
		conn.hold.Store(false)
		close(conn.release)
		if res := <-other; res.Err != nil {
			t.Errorf("Subscribe: %v", res.Err)
		}
		if errs := got.failures(); len(errs) > 0 || dials.Load() != 1 {
			t.Errorf("told %v, %d connections", errs, dials.Load())
		}
	})
}
