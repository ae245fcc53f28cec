package metrics

import "github.com/convkit/rediskit/ratelimit"

const ratelimitRequests = "Requests, by outcome and by what decided: Redis, a remembered denial (deny_cache), or Config.WhenDown while Redis did not answer (when_down)."

var ratelimitSeries = []series[ratelimit.Stats]{
	counter("rediskit_ratelimit_requests_total", ratelimitRequests, func(s ratelimit.Stats) uint64 { return s.Allowed }, "result", "allowed", "by", "redis"),
	counter("rediskit_ratelimit_requests_total", ratelimitRequests, func(s ratelimit.Stats) uint64 { return s.Denied }, "result", "denied", "by", "redis"),
	counter("rediskit_ratelimit_requests_total", ratelimitRequests, func(s ratelimit.Stats) uint64 { return s.DenyCacheHits }, "result", "denied", "by", "deny_cache"),
	counter("rediskit_ratelimit_requests_total", ratelimitRequests, func(s ratelimit.Stats) uint64 { return s.DegradedAllowed }, "result", "allowed", "by", "when_down"),
	counter("rediskit_ratelimit_requests_total", ratelimitRequests, func(s ratelimit.Stats) uint64 { return s.DegradedDenied }, "result", "denied", "by", "when_down"),

	counter("rediskit_ratelimit_repaired_total", "Counts repaired: without a TTL, with too long a TTL, or ahead of the clock of Redis.", func(s ratelimit.Stats) uint64 { return s.Repaired }),
	redisErrors("ratelimit", func(s ratelimit.Stats) uint64 { return s.RedisErrors }),
}
