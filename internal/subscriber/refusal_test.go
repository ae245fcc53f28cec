package subscriber

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/refusal"
)

// refusing returns a server that answers a command with words while refuse returns true.
func refusing(t *testing.T, command, words string, refuse func() bool) *redistest.Server {
	s := redistest.Mini(t)
	s.Mini().Server().SetPreHook(func(p *server.Peer, name string, _ ...string) bool {
		if name != command || !refuse() {
			return false
		}
		p.WriteError(words + " for this test")
		return true
	})
	return s
}

func TestARefusedPINGIsASignOfLife(t *testing.T) {
	t.Parallel()
	for _, row := range refusal.All() {
		if row.Words == "READONLY" { // PING is no write, and go-redis closes the connection
			continue
		}
		t.Run(row.Words, func(t *testing.T) {
			t.Parallel()
			var refused, pongs atomic.Int64
			s := refusing(t, "PING", row.Words, func() bool { refused.Add(1); return true })
			sub, got := open(t, s.Client(), liveness(time.Second), func(c *Config) {
				c.OnPong = func(time.Time) { pongs.Add(1) }
			})
			subscribe(t, sub, "c")
			redistest.Eventually(t, func() bool { return refused.Load() >= 3 }, "three PINGs are refused")
			publish(t, s.Client(), "c", "1", 1)
			got.await(t, "1") // and no gap
			if errs := got.failures(); len(errs) != 0 {
				t.Errorf("the connection was lost: %v", errs)
			}
			if n := pongs.Load(); (n > 0) != row.Alive {
				t.Errorf("%d refusals passed for a PONG; the server serves: %v", n, row.Alive)
			}
		})
	}
}

func TestASubscriptionIsAskedForAgainIfItsRefusalPasses(t *testing.T) {
	t.Parallel()
	for _, row := range refusal.All() {
		t.Run(row.Words, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Bool
			s := refusing(t, "SUBSCRIBE", row.Words, func() bool { return !asked.Swap(true) })
			sub, got := open(t, s.Client())
			err := sub.Subscribe(within(t), "c")
			if r, _ := refusal.Of(err); (err == nil) != row.Passes || err != nil && r != row {
				t.Errorf("Subscribe: %v", err)
			}
			if row.Passes && len(got.failures()) != 1 {
				t.Errorf("reported %v, want the refusal", got.failures())
			}
		})
	}
}

func TestAServerWhoseSnapshotFailedKeepsItsSubscriptions(t *testing.T) {
	t.Parallel()
	p := redistest.Start(t)
	for _, when := range []string{"before", "after"} {
		var pongs atomic.Int64
		sub, got := open(t, p.Client(), liveness(time.Second), func(c *Config) {
			c.OnPong = func(time.Time) { pongs.Add(1) }
		})
		subscribe(t, sub, "c-"+when)
		if when == "before" {
			p.FailSnapshot()
		}
		seen := pongs.Load()
		redistest.Eventually(t, func() bool { return pongs.Load() >= seen+3 }, "three PINGs are answered")
		publish(t, p.Client(), "c-"+when, "1", 1)
		got.await(t, "1") // and no gap
		if errs := got.failures(); len(errs) != 0 {
			t.Errorf("subscribed %s the snapshot failed: %v", when, errs)
		}
	}
}
