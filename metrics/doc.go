// Package metrics exports the counters of the other packages to Prometheus.
//
//	collector, err := metrics.NewCollector(
//		conversations, sessions, limiter, locks, updates, hub,
//		metrics.Pool("main", rdb),
//	)
//	err = prometheus.Register(collector)
//
// # Series
//
// The series of each object have a label with its Config.Name, or the name of its pool:
//
//	rediskit_cache_…      {cache}    cache.Cache
//	rediskit_session_…    {store}    session.Store
//	rediskit_ratelimit_…  {limiter}  ratelimit.Limiter
//	rediskit_lock_…       {locker}   lock.Locker
//	rediskit_pubsub_…     {topic}    pubsub.Topic and pubsub.Hub
//	rediskit_pool_…       {pool,lane}  a client's connections
//	rediskit_pool_calls…  {pool}       its calls that are under way, or were refused
//	rediskit_pool_breakers…  {pool}    its nodes, by the state of the circuit breaker
//
// One series counts the failures of Redis for all of them:
// rediskit_redis_errors_total{package,name}. The help texts say what is counted, as the
// Stats of the packages do. For example, this is the part of the reads that found a
// value, per cache:
//
//	sum by (cache) (rate(rediskit_cache_requests_total{result!="miss"}[5m]))
//	  / sum by (cache) (rate(rediskit_cache_requests_total[5m]))
//
// And this is the consistency of the near caches, as far as Config.Verify has checked it:
//
//	1 - sum by (cache) (increase(rediskit_cache_verified_total{against="redis",result="stale"}[1d]))
//	  / sum by (cache) (increase(rediskit_cache_verified_total{against="redis",result=~"same|stale"}[1d]))
//
// Later versions may add results: sum over the labels that you do not name.
//
// # What is guaranteed
//
// Labels hold names and words of this package, and nothing else. So no label holds an
// id, a key or a value, as long as no Name does. The number of series is the same after
// a million requests as before the first.
//
// A scrape reads counters that every package keeps in any case. It sends nothing to
// Redis, so it works while Redis is down, and it costs requests nothing. A Collector is
// safe for concurrent use. It owns nothing and needs no Close. Objects that were closed
// may still be collected.
//
// # What is not guaranteed
//
// A scrape reads its numbers one after the other while calls go on. Two of them may
// differ by what happened between the two reads. No series is the difference of two
// numbers, so each one only rises, or is a gauge.
//
// Counters belong to one process and begin at zero with it. go-redis counts in 32 bits
// what its pools do. Prometheus takes an overflow for a restart, and also the removal of
// a node from a Cluster. On a Cluster the connections of all nodes are counted together.
// A client that was never used looks for the nodes at its first scrape: pass a client
// that rediskit.Connect returned.
//
// This package does not measure how long calls take: a histogram would add a clock and
// a lock to each call. Measure the requests of your service instead, and trace single
// commands with go-redis's redisotel. The exporter of the server has the time of every
// command (redis_commands_duration_seconds_total).
package metrics
