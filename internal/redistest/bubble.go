package redistest

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// Bubble runs test in a testing/synctest bubble with a miniredis whose clock, TTLs
// included, is the bubble's: five minutes pass as soon as all goroutines sleep. The server
// has no address. Client, and clients built from its Options, reach it through an
// in-memory pipe. StepClock works once a client has sent something.
//
// All goroutines that test starts must have ended when it returns. A client must not run
// out of pooled connections: go-redis then waits on a timer that it shares between
// clients, and a timer from inside a bubble ends the program when it is used outside.
// Client's pool is therefore large.
func Bubble(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := miniredis.NewMiniRedis()
		t.Cleanup(m.Close)
		m.ClockTTL(true)
		test(t, &Server{
			t: t, name: "miniredis", prefix: token(), mini: m,
			advance: time.Sleep, step: (&clock{mini: m}).step,
			connect: func(o *redis.Options) {
				o.PoolSize = 1000
				o.Dialer = func(context.Context, string, string) (net.Conn, error) {
					server, err := m.Dial()
					if err != nil {
						return nil, err
					}
					return newReadAhead(server), nil
				}
			},
		})
	})
}
