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

	// What Config.Verify found of hits in this process, compared with Redis.
	LocalSame      uint64 // the value was that in Redis
	LocalChanged   uint64 // the value was written, deleted or announced as changed meanwhile: this says nothing
	LocalStale     uint64 // the value was not that in Redis, and nothing explains it
	LocalUnknown   uint64 // Redis did not answer, changes were not announced, or the value's time was over
	LocalUnchecked uint64 // chosen while 1,024 checks waited, and left out

	// What Config.Verify found of hits in Redis, compared with their source.
	SourceSame      uint64 // the loader returned the value
	SourceChanged   uint64 // the value was written or deleted meanwhile, or its Delete came in time
	SourceStale     uint64 // the loader did not return the value, and no Delete came
	SourceUnknown   uint64 // Redis did not answer, the loader failed, or the value has no TTL
	SourceUnchecked uint64 // chosen while 1,024 checks waited, and left out
}

type counters struct {
	hits, misses, negativeHits, staleHits, shared, leaseWaits atomic.Uint64
	loads, loadFailures, refreshes, fills, refusedFills       atomic.Uint64
	sets, deletes, undecodable, tooLarge                      atomic.Uint64
	localMisses, localBypasses, localInvalidations            atomic.Uint64
	localHits                                                 striped
	verifiedLocal, verifiedSource                             outcomes
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

		LocalSame:      c.verifiedLocal.same.Load(),
		LocalChanged:   c.verifiedLocal.changed.Load(),
		LocalStale:     c.verifiedLocal.stale.Load(),
		LocalUnknown:   c.verifiedLocal.unknown.Load(),
		LocalUnchecked: c.verifiedLocal.unchecked.Load(),

		SourceSame:      c.verifiedSource.same.Load(),
		SourceChanged:   c.verifiedSource.changed.Load(),
		SourceStale:     c.verifiedSource.stale.Load(),
		SourceUnknown:   c.verifiedSource.unknown.Load(),
		SourceUnchecked: c.verifiedSource.unchecked.Load(),
	}
}
