package subscriber

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestCloseEndsAHangingDial(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		dialling := make(chan bool, 1)
		sub, _ := open(t, s.Client(func(o *redis.Options) {
			o.DialTimeout = time.Hour
			o.Dialer = func(ctx context.Context, _, _ string) (net.Conn, error) {
				dialling <- true
				<-ctx.Done()
				return nil, ctx.Err()
			}
		}))
		waiting := redistest.Async(func() (any, error) { return nil, sub.Subscribe(t.Context(), "ch") })
		<-dialling
		closesAtOnce(t, sub)
		if err := (<-waiting).Err; !errors.Is(err, ErrClosed) {
			t.Errorf("the waiting Subscribe: %v", err)
		}
	})
}

func TestCloseEndsAHangingHandshake(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		dialled := make(chan bool, 1)
		sub, _ := open(t, s.Client(func(o *redis.Options) {
			o.ReadTimeout, o.WriteTimeout = -1, -1
			o.Dialer = func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				t.Cleanup(func() { there.Close() })
				dialled <- true
				return here, nil
			}
		}), liveness(time.Hour))
		waiting := redistest.Async(func() (any, error) { return nil, sub.Subscribe(t.Context(), "ch") })
		<-dialled
		closesAtOnce(t, sub)
		<-waiting
	})
}

func TestCloseIsPromptWhileServing(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		sub, got := open(t, s.Client())
		subscribe(t, sub, "ch")
		closesAtOnce(t, sub)
		closesAtOnce(t, sub)
		if err := sub.Subscribe(t.Context(), "ch"); !errors.Is(err, ErrClosed) {
			t.Errorf("Subscribe after Close: %v", err)
		}
		sub.Unsubscribe("ch")
		got.await(t)
	})
}

func TestCloseIsPromptBetweenAttempts(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		sub, _ := open(t, s.Client(func(o *redis.Options) {
			o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no") }
		}))
		waiting := redistest.Async(func() (any, error) { return nil, sub.Subscribe(t.Context(), "ch") })
		time.Sleep(time.Minute) // the pauses are long by now
		closesAtOnce(t, sub)
		<-waiting
	})
}

// closesAtOnce must run in a bubble, where only waiting takes time.
func closesAtOnce(t *testing.T, sub *Subscriber) {
	t.Helper()
	start := time.Now()
	if err := sub.Close(); err != nil || time.Since(start) > 0 {
		t.Errorf("Close took %v, %v", time.Since(start), err)
	}
}

func TestCloseReportsADialThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		dialling := make(chan bool, 1)
		cfg := (&record{}).config()
		sub, err := New(s.Client(func(o *redis.Options) {
			o.Dialer = func(context.Context, string, string) (net.Conn, error) {
				dialling <- true
				time.Sleep(time.Minute)
				return nil, errors.New("too late")
			}
		}), cfg)
		if err != nil {
			t.Fatal(err)
		}
		waiting := redistest.Async(func() (any, error) { return nil, sub.Subscribe(t.Context(), "ch") })
		<-dialling
		start := time.Now()
		if err := sub.Close(); err == nil || time.Since(start) != closePatience {
			t.Errorf("Close took %v, %v", time.Since(start), err)
		}
		<-waiting
		time.Sleep(time.Minute)
		closesAtOnce(t, sub)
	})
}
