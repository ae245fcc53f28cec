package primary

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// config dials without TLS and without credentials.
func config(t *testing.T) Config {
	return Config{
		Dial:        (&net.Dialer{}).DialContext,
		Credentials: func(context.Context) (string, string, error) { return "", "", nil },
		Timeout:     500 * time.Millisecond,
		Anew:        5 * time.Second,
		OnError:     func(err error) { t.Log("reported:", err) },
	}
}

// countDials counts the dials of cfg.
func countDials(cfg *Config) *atomic.Int32 {
	dials, dial := new(atomic.Int32), cfg.Dial
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return dial(ctx, network, addr)
	}
	return dials
}

// client returns a client that dials through w.
func client(t *testing.T, w *Watch, addr string) *redis.Client {
	rdb := redis.NewClient(&redis.Options{
		Addr: addr, Dialer: w.Dial, Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialerRetries: 1,
		ReadTimeout: 500 * time.Millisecond,
	})
	w.Attach(rdb)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// warm opens n pooled connections.
func warm(t *testing.T, rdb *redis.Client, n int) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			conn := rdb.Conn()
			defer conn.Close()
			if err := conn.Ping(t.Context()).Err(); err != nil {
				t.Error(err)
			}
			time.Sleep(50 * time.Millisecond) // so that all are open at once
		})
	}
	all.Wait()
}

func (w *Watch) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sockets)
}

// heard is a Follower that notes what it hears.
type heard struct {
	mu        sync.Mutex
	dialled   int
	doubts    int
	ends      []error
	confirmed time.Time
}

func (h *heard) follower() *Follower {
	return &Follower{
		OnDial:  func() { h.mu.Lock(); h.dialled++; h.mu.Unlock() },
		OnDoubt: func() { h.mu.Lock(); h.doubts++; h.mu.Unlock() },
		OnEnd:   func(cause error) { h.mu.Lock(); h.ends = append(h.ends, cause); h.mu.Unlock() },
		OnConfirm: func(at time.Time) {
			h.mu.Lock()
			h.confirmed = at
			h.mu.Unlock()
		},
	}
}

func (h *heard) ended() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return errors.Join(h.ends...)
}

func (h *heard) lastConfirmed() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.confirmed
}

// follow dials a connection that follows the server.
func follow(t *testing.T, w *Watch, addr string) (*heard, net.Conn) {
	t.Helper()
	h := &heard{}
	conn, err := w.Dial(Follow(t.Context(), h.follower()), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return h, conn
}

func do(t *testing.T, p *redistest.Process, args ...any) {
	t.Helper()
	if err := p.Client().Do(context.Background(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args[0], err)
	}
}

func isClosed(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	return err != nil && !strings.Contains(err.Error(), "timeout")
}
