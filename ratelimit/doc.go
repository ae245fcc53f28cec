// Package ratelimit says how often something may happen, for each id by
// itself and for all processes together.
//
//	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.PerMinute(100))
//	res, err := limiter.Allow(ctx, speakerID)
//	if err != nil {
//		return err
//	}
//	if !res.Allowed {
//		return fmt.Errorf("try again in %v", res.RetryAfter)
//	}
//
// # What it guarantees
//
// A decision is one script, atomic in Redis: however many processes ask at
// once, no more pass than a policy says. Denied requests are not charged.
// With several policies a request is charged to all of them or to none.
//
// A count is charged once or not at all: a script whose reply was lost is
// never sent again.
//
// The numbers of a Result are exact. Who waits for RetryAfter has waited long
// enough, by the clock of Redis, which is the only one that counts.
//
// The first FixedWindow of a limiter counts under the key of the pattern, as a
// plain integer with a TTL: just as services do that call INCR and then
// EXPIRE, and together with them. A counter without a TTL, left by one that
// died between the two, is given one at the next look, and so is one whose
// TTL is longer than the window. Every other policy counts in a key of its own
// beside it, in the same cluster slot: rediskit:limit-…:{key}. Nothing is
// without a TTL.
//
// An outage is never silent: a decision without Redis is marked Degraded and
// carries its cause, Config.OnError is told, Stats counts it.
//
// # What it does not guarantee
//
// FixedWindow allows up to twice its n within a short time around the end of a
// window. SlidingWindow and GCRA do not.
//
// When a reply is lost, or ctx ends first, nobody knows whether n was charged.
//
// A failover may lose the latest charges, and a restart without persistence, an
// eviction or a flush loses whole counts, of every policy: requests are allowed
// anew, up to the limit, each time. It is not told: in Redis a lost count and
// one that has not begun are the same absent key, so such a Result is not
// Degraded and Stats has no number of it. See the server's INFO instead:
// uptime_in_seconds, run_id and evicted_keys.
//
// If the clock of Redis steps back by d, as it may at a failover, a wait may
// become longer than it should, but not by d: a count that lies ahead of the
// clock is put right, at the latest when it denies, and then lasts one
// window, with GCRA one burst, as if it had just been charged.
//
// Another n for the same window goes on with its counts; another window, or
// any other GCRA, begins anew. So while a change is rolled out, old and new
// processes count side by side, each by its own policy.
//
// A remembered denial (Config.DenyCache) does not learn of a Reset elsewhere.
//
// Ids are part of keys in Redis, in plain text.
//
// On a Cluster a denial or charge of one id is on one node; nothing is limited
// across ids.
package ratelimit
