// Package wall is the clock on the wall, which somebody may set at any time.
// Durations are measured by time.Time's monotonic clock; who needs the time of
// day beside asks here, so that tests can set it.
package wall

import (
	"sync/atomic"
	"time"
)

var ahead atomic.Int64

// At is the time of day of t, since 1970.
func At(t time.Time) time.Duration { return time.Duration(t.UnixNano() + ahead.Load()) }

// SetAhead is for tests: it sets the clock of the whole process ahead by d, or back if
// d is negative.
func SetAhead(d time.Duration) { ahead.Store(int64(d)) }
