package session

import (
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit/internal/wall"
)

// A clock is what a store knows of its server's clock. It begins with this machine's, and
// learns from every reply. It differs from the server's time by no more than a reply has
// taken, with the wait for replicas. Steps of this machine's clock do not change it.
type clock struct {
	began time.Time
	ahead atomic.Int64 // milliseconds: the server's time less the time since began
	steps atomic.Int64 // how often a reply showed that the server's clock had stepped
}

func newClock() *clock {
	c := &clock{began: time.Now()}
	c.ahead.Store(wall.At(c.began).Milliseconds())
	return c
}

// now returns the server's time in Unix milliseconds.
func (c *clock) now() int64 { return c.ahead.Load() + time.Since(c.began).Milliseconds() }

// learn takes over the time in a reply that has just come, to a command that was sent at
// sent. The server's clock showed that time somewhere in between. What agrees with that is
// kept: it may come from a quicker reply. What differs from it by more than slack was
// right before a step, or this machine stood still.
func (c *clock) learn(server int64, sent time.Time) {
	least := server - time.Since(c.began).Milliseconds()
	most := server - sent.Sub(c.began).Milliseconds() + 1 // both are cut to milliseconds
	for {
		ahead := c.ahead.Load()
		if least <= ahead && ahead <= most {
			return
		}
		if c.ahead.CompareAndSwap(ahead, least) {
			if max(least-ahead, ahead-most) > slack.Milliseconds() {
				c.steps.Add(1)
			}
			return
		}
	}
}
