// Package ratelimit limits how often something may happen, for each id by itself and
// for all processes together.
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
// A decision is one script, which is atomic in Redis: however many processes ask at
// once, no more requests pass than a policy allows. Denied requests are not charged.
// With several policies, a request is charged to all of them or to none.
//
// A request is charged once or not at all: a script whose reply was lost is never sent
// again.
//
// The numbers of a Result are exact. A caller that waits for RetryAfter has waited long
// enough, by the clock of Redis, which is the only clock that counts.
//
// The first FixedWindow of a limiter counts under the key of the pattern, as a plain
// integer with a TTL. Services that call INCR and then EXPIRE do the same, so both count
// together. If such a service ends between the two commands, it leaves a counter without
// a TTL. The next look at that counter sets its TTL, and also shortens a TTL that is
// longer than the window. Every other policy counts in a key of its own beside the first,
// in the same cluster slot: rediskit:limit-…:{key}. Every key has a TTL.
//
// An outage is never silent: a decision without Redis is marked Degraded and carries its
// cause, Config.OnError receives that, and Stats counts it.
//
// # What it does not guarantee
//
// FixedWindow allows up to twice its n within a short time around the end of a window.
// SlidingWindow and GCRA do not.
//
// If a reply is lost, or ctx ends first, nobody knows whether n was charged.
//
// A failover may lose the latest charges. A restart without persistence, an eviction or
// a flush loses whole counts, of every policy. Requests are then allowed anew, up to the
// limit, each time. This is not reported: in Redis, a lost count and one that has not
// begun are the same absent key. So such a Result is not Degraded, and Stats has no
// number for it. Look at the server's INFO instead: uptime_in_seconds, run_id and
// evicted_keys.
//
// If the clock of Redis steps back by d, as it may at a failover, nothing more is allowed. A
// wait may become longer than it should, but not by d: a count that is ahead of the clock is
// repaired, at the latest when it denies. After that it lasts for one window at most, a
// tenth longer for SlidingWindow, or with GCRA the time to fill the bucket, as if it had just
// been charged. If the clock steps forward, counts end early. Up to one limit more is then
// allowed, with GCRA up to one burst: twice the limit for the window in which it steps. Each
// further step may do that again.
//
// A policy with another n for the same window goes on with its counts. Another window, or
// any other GCRA, begins anew. So while a change is rolled out, old and new processes
// count side by side, each by its own policy.
//
// A denial that Config.DenyCache remembers outlives a Reset by another Limiter, in this
// process or in another.
//
// Ids are part of keys in Redis, in plain text.
//
// On a Cluster, one node decides about one id. Nothing is limited across ids.
package ratelimit
