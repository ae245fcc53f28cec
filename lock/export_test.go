package lock

import "time"

// MaxCleanups is what tests need to know.
const MaxCleanups = maxCleanups

// SetWallAhead, called before the first lock is taken, makes k's wall clock run
// ahead of the monotonic one by what ahead returns, as it does after the
// machine has slept.
func SetWallAhead(k *Locker, ahead func() time.Duration) {
	clock := k.clock
	k.clock = func() instant {
		now := clock()
		now.wall += ahead()
		return now
	}
}
