package metrics

import "github.com/convkit/rediskit/lock"

const lockLooks = "Checks of a lock by waiters: its release was announced (released), or nothing was (poll)."

var lockSeries = []series[lock.Stats]{
	gauge("rediskit_lock_holding", "Locks held at this moment.", func(s lock.Stats) uint64 { return s.Holding }),
	gauge("rediskit_lock_waiting", "Callers waiting for a lock at this moment.", func(s lock.Stats) uint64 { return s.Waiting }),

	counter("rediskit_lock_acquired_total", "Locks taken.", func(s lock.Stats) uint64 { return s.Acquired }),
	counter("rediskit_lock_refused_total", "Calls of Try and TryDo that found the lock held.", func(s lock.Stats) uint64 { return s.Refused }),
	counter("rediskit_lock_waits_total", "Calls of Acquire and Do that found the lock held and waited.", func(s lock.Stats) uint64 { return s.Waits }),
	counter("rediskit_lock_looks_total", lockLooks, func(s lock.Stats) uint64 { return s.Woken }, "because", "released"),
	counter("rediskit_lock_looks_total", lockLooks, func(s lock.Stats) uint64 { return s.Polls }, "because", "poll"),

	counter("rediskit_lock_released_total", "Locks released by Release.", func(s lock.Stats) uint64 { return s.Released }),
	counter("rediskit_lock_lost_total", "Locks that ended before their Release.", func(s lock.Stats) uint64 { return s.Lost }),
	counter("rediskit_lock_max_holds_total", "Locks that Config.MaxHold ended before their Release, including lost ones.", func(s lock.Stats) uint64 { return s.MaxHolds }),

	counter("rediskit_lock_renewals_total", "Successful renewals.", func(s lock.Stats) uint64 { return s.Renewals }),
	counter("rediskit_lock_failed_renewals_total", "Renewals that were tried again, or came too late.", func(s lock.Stats) uint64 { return s.FailedRenewals }),
	counter("rediskit_lock_abandoned_total", "Requests that may have taken a lock that no caller got. It was then released.", func(s lock.Stats) uint64 { return s.Abandoned }),
	redisErrors("lock", func(s lock.Stats) uint64 { return s.RedisErrors }),
}
