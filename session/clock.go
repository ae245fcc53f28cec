package session

import (
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit/internal/wall"
)

// A clock is what a store knows of its server's clock. It begins with this machine's, and
// learns from every reply. It is the server's time or less, by no more than a reply has
// taken. Steps of this machine's clock do not change it.
type clock struct {
	began time.Time
	ahead atomic.Int64 // milliseconds: the server's time less the time since began
}

func newClock() *clock {
	c := &clock{began: time.Now()}
	c.ahead.Store(wall.At(c.began).Milliseconds())
	return c
}

// now returns the server's time in Unix milliseconds.
func (c *clock) now() int64 { return c.ahead.Load() + time.Since(c.began).Milliseconds() }

// learn takes over the time in a reply that has just come.
func (c *clock) learn(server int64) { c.ahead.Store(server - time.Since(c.began).Milliseconds()) }
