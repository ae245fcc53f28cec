package tracking

import (
	"math"
	"sync/atomic"
	"time"
)

// liveness is for how long an epoch goes on after the last PING that was answered.
// PINGs are sent after each half of that.
const liveness = 2 * time.Second

// began is when this package's clock began. It is monotonic, and half as dear
// to read as time.Now.
var began = time.Now()

// Now is the time by which epochs are valid.
func Now() time.Duration { return time.Since(began) }

// An Epoch is a time through which the PINGs of a confirmed connection were answered
// soon enough: while it is valid, no change is untold for longer than liveness. Other
// answers say nothing about that. Announcements that come in a steady stream may all
// be old.
type Epoch struct {
	asked atomic.Int64 // when the last PING was sent that was answered; or one of these:
}

const (
	ended  = math.MinInt64 / 2
	always = math.MaxInt64
)

func newEpoch(asked time.Duration) *Epoch {
	e := &Epoch{}
	e.asked.Store(int64(asked))
	return e
}

// Valid says whether the epoch goes on at now. Nil does not.
func (e *Epoch) Valid(now time.Duration) bool {
	return e != nil && lasts(e.asked.Load(), now)
}

func lasts(asked int64, now time.Duration) bool { return int64(now)-asked < int64(liveness) }

// prolong takes the answer to a PING, if the epoch is valid. What was without one for
// too long does not come back: changes may have gone untold.
func (e *Epoch) prolong(asked time.Duration) bool {
	for {
		before := e.asked.Load()
		switch {
		case !lasts(before, Now()):
			return false
		case int64(asked) <= before || e.asked.CompareAndSwap(before, int64(asked)):
			return true
		}
	}
}

func (e *Epoch) end() { e.asked.Store(ended) }

// Forever is an epoch without an end: what was read in it has only a deadline.
var Forever = newEpoch(always)
