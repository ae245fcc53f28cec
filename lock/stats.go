package lock

import "sync/atomic"

// Stats counts what a Locker has done since New, in this process. Holding and Waiting are
// not counts of the past but of this moment.
type Stats struct {
	Holding uint64 // locks held at this moment
	Waiting uint64 // callers waiting for a lock at this moment

	Acquired uint64 // locks taken
	Refused  uint64 // calls of Try and TryDo that found the lock held
	Waits    uint64 // calls of Acquire and Do that found it held and waited
	Woken    uint64 // looks at a lock after its release was announced
	Polls    uint64 // looks at a lock without an announcement

	Released uint64 // locks given back by Release
	Lost     uint64 // locks that ended before their Release
	MaxHolds uint64 // of these, by Config.MaxHold

	Renewals       uint64 // successful ones
	FailedRenewals uint64 // those that were tried again, or came too late
	Abandoned      uint64 // requests that may have taken a lock although the caller got an error; it is then given back
	RedisErrors    uint64 // round trips that Redis did not answer, or answered with an error
}

type counters struct {
	waiting                                atomic.Int64
	acquired, refused, waits, woken, polls atomic.Uint64
	released, lost, maxHolds               atomic.Uint64
	renewals, failedRenewals, abandoned    atomic.Uint64
}

func (c *counters) snapshot(holding int, redisErrors uint64) Stats {
	return Stats{
		Holding:        uint64(holding),
		Waiting:        uint64(c.waiting.Load()),
		Acquired:       c.acquired.Load(),
		Refused:        c.refused.Load(),
		Waits:          c.waits.Load(),
		Woken:          c.woken.Load(),
		Polls:          c.polls.Load(),
		Released:       c.released.Load(),
		Lost:           c.lost.Load(),
		MaxHolds:       c.maxHolds.Load(),
		Renewals:       c.renewals.Load(),
		FailedRenewals: c.failedRenewals.Load(),
		Abandoned:      c.abandoned.Load(),
		RedisErrors:    redisErrors,
	}
}
