package tracking

import (
	"math"
	"sync/atomic"
	"time"
)

// liveness is how long a server may say nothing, not even PONG, while what it
// said before is still relied on. It is asked after half of that.
const liveness = 2 * time.Second

// began is when this package's clock began. It is monotonic, and half as dear
// to read as time.Now.
var began = time.Now()

// Now is the time by which epochs are valid.
func Now() time.Duration { return time.Since(began) }

// An Epoch is a time through which a confirmed connection was never silent for
// too long: while it is valid, no change was missed.
type Epoch struct {
	heard atomic.Int64 // when the server last said something; or one of these:
}

const (
	ended  = math.MinInt64 / 2
	always = math.MaxInt64
)

func newEpoch(heard time.Duration) *Epoch {
	e := &Epoch{}
	e.heard.Store(int64(heard))
	return e
}

// Valid says whether the epoch goes on at now. Nil does not.
func (e *Epoch) Valid(now time.Duration) bool {
	return e != nil && lasts(e.heard.Load(), now)
}

func lasts(heard int64, now time.Duration) bool { return int64(now)-heard < int64(liveness) }

// hear prolongs the epoch if it is valid. What was silent for too long does not
// come back: changes may wait behind what has just been heard.
func (e *Epoch) hear() bool {
	for {
		heard, now := e.heard.Load(), Now()
		if !lasts(heard, now) {
			return false
		}
		if e.heard.CompareAndSwap(heard, int64(now)) {
			return true
		}
	}
}

func (e *Epoch) end() { e.heard.Store(ended) }

// Forever is an epoch without an end: what was read in it has only a deadline.
var Forever = newEpoch(always)
