// Package metrics shows Prometheus what the other packages count.
//
//	collector, err := metrics.NewCollector(
//		conversations, sessions, limiter, locks, updates, hub,
//		metrics.Pool("main", rdb),
//	)
//	err = prometheus.Register(collector)
//
// # Series
//
// Each object has a label with its Config.Name, or its pool's name:
//
//	rediskit_cache_…      {cache}    cache.Cache
//	rediskit_session_…    {store}    session.Store
//	rediskit_ratelimit_…  {limiter}  ratelimit.Limiter
//	rediskit_lock_…       {locker}   lock.Locker
//	rediskit_pubsub_…     {topic}    pubsub.Topic and pubsub.Hub
//	rediskit_pool_…       {pool,lane}  a client's connections
//
// and what failed at Redis is one series for all of them,
// rediskit_redis_errors_total{package,name}. The help texts say what is counted,
// as the packages' Stats do. So the part of the reads that found a value is, by
// cache,
//
//	sum by (cache) (rate(rediskit_cache_requests_total{result!="miss"}[5m]))
//	  / sum by (cache) (rate(rediskit_cache_requests_total[5m]))
//
// Further results may come: sum over what you do not name.
//
// # What it guarantees
//
// No label holds an id, a key or a value, as long as no Name does: names, words of
// this package and nothing else. There are as many series after a million requests
// as before the first.
//
// A scrape reads counters, which every package keeps whether or not anybody looks,
// and sends nothing to Redis: it is answered while Redis is down, and costs
// requests nothing. A Collector is safe for concurrent use and owns nothing; there
// is nothing to close, and what was closed may still be collected.
//
// # What it does not guarantee
//
// The numbers of one scrape are read one after the other while others count: two
// of them may differ by what happened in between. No series is the difference of
// two, so each one only rises, or is a gauge.
//
// Counts are a process's own and begin at zero with it. go-redis counts what its
// pools do in 32 bits; Prometheus takes the wrap, and a Cluster's node that has
// gone, for a restart. On a Cluster the connections are those of all its nodes
// together, and a client that has never been used looks for the nodes when it is
// first scraped: pass one that rediskit.Connect has returned.
//
// How long calls take is not counted here: a histogram would put a clock and a
// lock around each. Time the requests of your service instead, trace single ones
// with go-redis's redisotel, and ask the server, whose exporter tells the time of
// every command (redis_commands_duration_seconds_total).
package metrics
