package lock

import (
	"time"

	"github.com/convkit/rediskit/internal/wall"
)

// An instant is a moment on the machine's two clocks. Neither is enough alone:
// the wall clock may be set back, and the monotonic one stands still while a
// virtual machine sleeps.
type instant struct{ wall, mono time.Duration }

// since is the time from start to i, by the clock that saw more of it.
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
