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
			pause, most := dials[i+1].Sub(dials[i]), min(10*time.Millisecond<<min(i, 10), 2*time.Second)
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
