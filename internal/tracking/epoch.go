package tracking

import (
	"math"
	"sync/atomic"
	"time"
)

// liveness is how long an epoch stays valid after the last PING that was answered. A
// PING is sent after each half of that.
const liveness = 2 * time.Second

// began is when this package's clock began. The clock is monotonic, and takes half
// the time of time.Now to read.
var began = time.Now()

// Now is the time by which epochs are valid.
func Now() time.Duration { return time.Since(began) }

// An Epoch is a period in which a primary's connection is confirmed and its PINGs are
// answered in time. While it is valid, every change is reported within liveness.
//
// Only replies to PINGs prolong an epoch. Announcements do not: a steady stream of
// them may be all old ones.
type Epoch struct {
	pinged atomic.Int64 // when the last PING was sent that was answered, or ended, or always
}

const (
	ended  = math.MinInt64 / 2
	always = math.MaxInt64
)

func newEpoch(pinged time.Duration) *Epoch {
	e := &Epoch{}
	e.pinged.Store(int64(pinged))
	return e
}

// Valid reports whether the epoch is valid at now. A nil epoch never is.
func (e *Epoch) Valid(now time.Duration) bool {
	return e != nil && validAt(now, e.pinged.Load())
}

// Announced reports whether every change until then has been reported. It is false after the
// end of the epoch, and always of an epoch without an end: nothing is reported in that. What
// was reported has been passed on before Announced says so.
func (e *Epoch) Announced(then time.Duration) bool {
	return !e.Endless() && int64(then) < e.pinged.Load()
}

// Endless reports whether the epoch is one without an end, in which nothing is reported.
func (e *Epoch) Endless() bool { return e.pinged.Load() == always }

func validAt(now time.Duration, pinged int64) bool { return int64(now)-pinged < int64(liveness) }

// prolong takes the reply to a PING that was sent at pinged. It returns false, and
// does nothing, if the epoch is not valid any more: changes may have gone unreported
// since it ended.
func (e *Epoch) prolong(pinged time.Duration) bool {
	for {
		last := e.pinged.Load()
		switch {
		case !validAt(Now(), last):
			return false
		case int64(pinged) <= last || e.pinged.CompareAndSwap(last, int64(pinged)):
			return true
		}
	}
}

func (e *Epoch) end() { e.pinged.Store(ended) }

// Forever is an epoch that never ends. What was read in it is limited by its deadline
// alone.
var Forever = newEpoch(always)
