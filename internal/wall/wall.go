// Package wall is the wall clock: the time of day, which may be set at any time.
// Durations are measured with the monotonic clock of time.Time. Code that also needs
// the time of day asks here, so that tests can set it.
package wall

import (
	"sync/atomic"
	"time"
)

var ahead atomic.Int64

// At returns the time of day at t, as the time since 1970.
func At(t time.Time) time.Duration { return time.Duration(t.UnixNano() + ahead.Load()) }

// SetAhead is for tests. It sets the clock of the whole process ahead by d, or back if
// d is negative.
func SetAhead(d time.Duration) { ahead.Store(int64(d)) }
