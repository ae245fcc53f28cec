package subscriber

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestAPanickingDialerIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		var dials atomic.Int32
		sub, got := open(t, s.Client(func(o *redis.Options) {
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials.Add(1) == 1 {
					panic("canary")
				}
				return (&net.Dialer{}).DialContext(ctx, network, addr)
			}
		}))
		subscribe(t, sub, s.Prefix())
		errs := got.failures()
		if len(errs) != 1 {
			t.Fatalf("reported %v, want one panic", errs)
		}
		if panicked, ok := errors.AsType[*life.PanicError](errs[0]); !ok || panicked.Value != "canary" {
			t.Errorf("reported %v, want a *life.PanicError", errs[0])
		}
	})
}

// The second report does not panic; if it did, the process would end.
func TestOnErrorReceivesItsOwnPanicAndTheSubscriberGoesOn(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var errs []error // read once the subscriber has ended
		sub, _ := open(t, s.Client(func(o *redis.Options) {
			dial := o.Dialer
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if len(errs) < 4 {
					return nil, errors.New("no")
				}
				return dial(ctx, network, addr)
			}
		}), func(cfg *Config) {
			cfg.OnError = func(err error) {
				errs = append(errs, err)
				if _, own := errors.AsType[*life.PanicError](err); !own {
					panic("canary")
				}
			}
		})
		subscribe(t, sub, "ch")
		closesAtOnce(t, sub)
		if len(errs) != 4 {
			t.Errorf("reported %v, want two failed attempts and two panics", errs)
		}
	})
}

func TestAttemptsComeFartherApartAndAtRandom(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		var dials []time.Time // read once the subscriber has ended
		sub, _ := open(t, s.Client(func(o *redis.Options) {
			o.Dialer = func(context.Context, string, string) (net.Conn, error) {
				dials = append(dials, time.Now())
				return nil, errors.New("no")
			}
		}))
		waiting := redistest.Async(func() (any, error) { return nil, sub.Subscribe(t.Context(), "ch") })
		time.Sleep(time.Minute)
		closesAtOnce(t, sub)
		<-waiting
		if len(dials) < 30 {
			t.Fatalf("%d attempts in a minute", len(dials))
		}
		distinct := map[time.Duration]bool{}
		for i := range dials[1:] {
			pause, most := dials[i+1].Sub(dials[i]), min(10*time.Millisecond<<min(i, 10), time.Second)
			if pause < most/2 || pause >= most {
				t.Errorf("attempt %d came after %v; want from %v to %v", i+1, pause, most/2, most)
			}
			distinct[pause] = true
		}
		if len(distinct) < len(dials)/2 {
			t.Errorf("%d pauses took %d lengths", len(dials)-1, len(distinct))
		}
	})
}
