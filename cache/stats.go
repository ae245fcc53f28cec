package cache

import "sync/atomic"

// Stats counts what a Cache has done since New, in this process.
type Stats struct {
	Hits         uint64 // reads answered by a value in Redis; LocalHits are not among them
	Misses       uint64 // reads that found none
	NegativeHits uint64 // misses answered by a remembered ErrNotFound
	StaleHits    uint64 // failed loads covered by a stale copy
	Shared       uint64 // misses that joined another caller's load in this process; it counts no shared round trips
	LeaseWaits   uint64 // looks at a lease that another process held

	Loads        uint64 // runs of a loader
	LoadFailures uint64 // of these, with an error, a panic or a time-out
	Refreshes    uint64 // values loaded ahead of their expiry
	Fills        uint64 // loaded values that were stored
	RefusedFills uint64 // loaded values that a Delete, a write or an expired lease kept out

	Sets        uint64 // values stored by Set and SetMany
	Deletes     uint64 // ids passed to Delete
	Undecodable uint64 // values in Redis that did not decode, answered as misses
	TooLarge    uint64 // values over MaxValueBytes
	RedisErrors uint64 // round trips that Redis did not answer, or with an error

	LocalHits          uint64     // reads answered by Config.Local, in this process
	LocalMisses        uint64     // reads that went to Redis because this process did not have the value
	LocalBypasses      uint64     // reads that went to Redis because nothing would announce a change
	LocalInvalidations uint64     // keys that Redis announced as changed
	LocalState         LocalState // how Config.Local stands now
}

type counters struct {
	hits, misses, negativeHits, staleHits, shared, leaseWaits atomic.Uint64
	loads, loadFailures, refreshes, fills, refusedFills       atomic.Uint64
	sets, deletes, undecodable, tooLarge                      atomic.Uint64
	localMisses, localBypasses, localInvalidations            atomic.Uint64
	localHits                                                 striped
}

func (c *counters) snapshot(redisErrors uint64) Stats {
	return Stats{
		Hits:         c.hits.Load(),
		Misses:       c.misses.Load(),
		NegativeHits: c.negativeHits.Load(),
		StaleHits:    c.staleHits.Load(),
		Shared:       c.shared.Load(),
		LeaseWaits:   c.leaseWaits.Load(),
		Loads:        c.loads.Load(),
		LoadFailures: c.loadFailures.Load(),
		Refreshes:    c.refreshes.Load(),
		Fills:        c.fills.Load(),
		RefusedFills: c.refusedFills.Load(),
		Sets:         c.sets.Load(),
		Deletes:      c.deletes.Load(),
		Undecodable:  c.undecodable.Load(),
		TooLarge:     c.tooLarge.Load(),
		RedisErrors:  redisErrors,

		LocalHits:          c.localHits.Load(),
		LocalMisses:        c.localMisses.Load(),
		LocalBypasses:      c.localBypasses.Load(),
		LocalInvalidations: c.localInvalidations.Load(),
	}
}
