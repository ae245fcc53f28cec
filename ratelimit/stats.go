package ratelimit

import "sync/atomic"

// Stats counts what a Limiter has done since New, in this process. Each request of Allow
// and AllowN that was decided counts once among the first five, whatever it costs. Peek
// counts only among the last two.
//
// Counts that Redis has lost are in none of them: a request that is allowed because of
// that is Allowed.
type Stats struct {
	Allowed         uint64 // requests that Redis allowed
	Denied          uint64 // requests that Redis denied
	DenyCacheHits   uint64 // requests that a remembered denial denied
	DegradedAllowed uint64 // requests that Config.WhenDown allowed
	DegradedDenied  uint64 // requests that Config.WhenDown denied

	Repaired    uint64 // counts without a TTL, with a TTL that was too long, or ahead of Redis's clock
	RedisErrors uint64 // round trips that Redis did not answer, or answered with an error
}

type counters struct {
	allowed, denied, denyCacheHits, degradedAllowed, degradedDenied, repaired atomic.Uint64
}

// count counts the outcome of a request.
func (c *counters) count(res Result, err error) {
	switch {
	case err != nil:
	case res.Degraded && res.Allowed:
		c.degradedAllowed.Add(1)
	case res.Degraded:
		c.degradedDenied.Add(1)
	case res.Allowed:
		c.allowed.Add(1)
	default:
		c.denied.Add(1)
	}
}

func (c *counters) snapshot(redisErrors uint64) Stats {
	return Stats{
		Allowed:         c.allowed.Load(),
		Denied:          c.denied.Load(),
		DenyCacheHits:   c.denyCacheHits.Load(),
		DegradedAllowed: c.degradedAllowed.Load(),
		DegradedDenied:  c.degradedDenied.Load(),
		Repaired:        c.repaired.Load(),
		RedisErrors:     redisErrors,
	}
}
