package metrics

import "github.com/convkit/rediskit/cache"

const (
	cacheRequests     = "Reads, by where a value was: in Redis (hit), in the process (local_hit) or nowhere (miss)."
	cacheLoads        = "Runs of a loader."
	cacheLoadFailures = "Runs of a loader that ended with an error, a panic or a time-out."
	cacheVerified     = "Hits that Config.Verify chose: those in the process are compared with Redis, those in Redis with their source. Only stale and same say something of the consistency; for unchecked hits there was no room."
)

var cacheSeries = []series[cache.Stats]{
	counter("rediskit_cache_requests_total", cacheRequests, func(s cache.Stats) uint64 { return s.Hits }, "result", "hit"),
	counter("rediskit_cache_requests_total", cacheRequests, func(s cache.Stats) uint64 { return s.Misses }, "result", "miss"),
	counter("rediskit_cache_requests_total", cacheRequests, func(s cache.Stats) uint64 { return s.LocalHits }, "result", "local_hit"),
	counter("rediskit_cache_negative_hits_total", "Misses answered by a remembered ErrNotFound.", func(s cache.Stats) uint64 { return s.NegativeHits }),
	counter("rediskit_cache_stale_hits_total", "Failed loads covered by a stale copy.", func(s cache.Stats) uint64 { return s.StaleHits }),
	counter("rediskit_cache_shared_misses_total", "Misses that joined another caller's load in this process.", func(s cache.Stats) uint64 { return s.Shared }),
	counter("rediskit_cache_lease_waits_total", "Checks of a lease that another process held.", func(s cache.Stats) uint64 { return s.LeaseWaits }),

	counter("rediskit_cache_loads_total", cacheLoads, func(s cache.Stats) uint64 { return s.Loads }),
	counter("rediskit_cache_load_failures_total", cacheLoadFailures, func(s cache.Stats) uint64 { return s.LoadFailures }),
	counter("rediskit_cache_refreshes_total", "Values loaded ahead of their expiry.", func(s cache.Stats) uint64 { return s.Refreshes }),
	counter("rediskit_cache_fills_total", "Loaded values that were stored.", func(s cache.Stats) uint64 { return s.Fills }),
	counter("rediskit_cache_refused_fills_total", "Loaded values that were not stored because of a Delete, a write or an expired lease.", func(s cache.Stats) uint64 { return s.RefusedFills }),

	counter("rediskit_cache_sets_total", "Values stored by Set and SetMany.", func(s cache.Stats) uint64 { return s.Sets }),
	counter("rediskit_cache_deletes_total", "Ids passed to Delete.", func(s cache.Stats) uint64 { return s.Deletes }),
	counter("rediskit_cache_undecodable_total", "Values in Redis that did not decode, answered as misses.", func(s cache.Stats) uint64 { return s.Undecodable }),
	counter("rediskit_cache_too_large_total", "Values over MaxValueBytes.", func(s cache.Stats) uint64 { return s.TooLarge }),

	counter("rediskit_cache_local_misses_total", "Reads that went to Redis because the process had no value.", func(s cache.Stats) uint64 { return s.LocalMisses }),
	counter("rediskit_cache_local_bypasses_total", "Reads that went to Redis because changes would not be announced to the process.", func(s cache.Stats) uint64 { return s.LocalBypasses }),
	counter("rediskit_cache_local_invalidations_total", "Keys that Redis announced as changed.", func(s cache.Stats) uint64 { return s.LocalInvalidations }),
	gauge("rediskit_cache_local_state", "State of Config.Local: 0 off, 1 connecting, 2 refused, 3 untracked, 4 tracking.", func(s cache.Stats) uint64 { return uint64(s.LocalState) }),

	counter("rediskit_cache_verified_total", cacheVerified, func(s cache.Stats) uint64 { return s.LocalSame }, "against", "redis", "result", "same"),
	counter("rediskit_cache_verified_total", cacheVerified, func(s cache.Stats) uint64 { return s.LocalChanged }, "against", "redis", "result", "changed"),
	counter("rediskit_cache_verified_total", cacheVerified, func(s cache.Stats) uint64 { return s.LocalStale }, "against", "redis", "result", "stale"),
	counter("rediskit_cache_verified_total", cacheVerified, func(s cache.Stats) uint64 { return s.LocalUnknown }, "against", "redis", "result", "unknown"),
	counter("rediskit_cache_verified_total", cacheVerified, func(s cache.Stats) uint64 { return s.LocalUnchecked }, "against", "redis", "result", "unchecked"),
	counter("rediskit_cache_verified_total", cacheVerified, func(s cache.Stats) uint64 { return s.SourceSame }, "against", "source", "result", "same"),
	counter("rediskit_cache_verified_total", cacheVerified, func(s cache.Stats) uint64 { return s.SourceChanged }, "against", "source", "result", "changed"),
	counter("rediskit_cache_verified_total", cacheVerified, func(s cache.Stats) uint64 { return s.SourceStale }, "against", "source", "result", "stale"),
	counter("rediskit_cache_verified_total", cacheVerified, func(s cache.Stats) uint64 { return s.SourceUnknown }, "against", "source", "result", "unknown"),
	counter("rediskit_cache_verified_total", cacheVerified, func(s cache.Stats) uint64 { return s.SourceUnchecked }, "against", "source", "result", "unchecked"),

	redisErrors("cache", func(s cache.Stats) uint64 { return s.RedisErrors }),
}
