package lock

import (
	"time"

	"github.com/convkit/rediskit/internal/wall"
)

// An instant is a moment on the machine's two clocks. Neither is enough alone: the wall
// clock may be set back, and the monotonic one stands still while a virtual machine is
// suspended.
type instant struct{ wall, mono time.Duration }

// since returns the time from start to i, by the clock on which it is longer.
func (i instant) since(start instant) time.Duration {
	return max(i.wall-start.wall, i.mono-start.mono)
}

type clock func() instant

func systemClock() clock {
	began := time.Now()
	return func() instant {
		now := time.Now()
		return instant{wall: wall.At(now), mono: now.Sub(began)}
	}
}
