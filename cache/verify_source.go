package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/convkit/rediskit/internal/tracking"
)

// A sourceCheck is a hit in Redis that is to be compared with what its loader returns.
type sourceCheck struct {
	renewal
	values context.Context // the caller's, for the loader
	load   loader
	read   time.Duration // when the hit was read, by tracking.Now

	// Of a value that the loader did not return: when it ends in Redis, and until when its
	// Delete may take.
	ends, until time.Duration
}

// sameWrite is how far apart two looks may see the end of one value: the answers to their
// PTTLs travel, and clocks drift.
const sameWrite = 50 * time.Millisecond

// toVerify reports whether the hit of a key in Redis is chosen for a check. A hit in this
// process has no key.
func (c *Cache[V]) toVerify(key string) bool {
	return c.checks != nil && key != "" && c.checks.chooses(rand.Uint64())
}

// verifyLater has a hit in Redis compared with what load returns.
func (c *Cache[V]) verifyLater(ctx context.Context, hit renewal, load loader) {
	c.checks.add(sourceCheck{renewal: hit, values: context.WithoutCancel(ctx), load: load, read: tracking.Now()})
}

// verifySource checks hits. It returns those that the source contradicts and whose Delete
// may still come.
func (l *loads) verifySource(ctx context.Context, hits []sourceCheck) (again []sourceCheck) {
	var fresh, due []sourceCheck
	for _, hit := range hits {
		switch {
		case hit.until == 0:
			fresh = append(fresh, hit)
		case tracking.Now() < hit.until:
			again = append(again, hit)
		default:
			due = append(due, hit)
		}
	}
	dropped := map[string]bool{}
	for _, hit := range l.unchanged(ctx, due) {
		l.stats.verifiedSource.stale.Add(1)
		if !dropped[hit.id] {
			dropped[hit.id] = true
			l.dropStale(ctx, hit)
		}
	}
	for _, hit := range l.unchanged(ctx, fresh) {
		if l.contradicted(ctx, hit) {
			hit.until = tracking.Now() + l.cfg.Verify.Source
			again = append(again, hit)
		}
	}
	return again
}

// unchanged returns the hits whose value is still in Redis. It notes when it ends there:
// the same bytes, written again since, end at another time.
func (l *loads) unchanged(ctx context.Context, hits []sourceCheck) (same []sourceCheck) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for len(hits) > 0 {
		some := hits[:min(checkBatch, len(hits))]
		hits = hits[len(some):]
		keys := make([]string, len(some))
		for i, hit := range some {
			keys[i] = hit.key
		}
		read := l.far.getManyOver(ctx, l.far.rdb, keys, true)
		now := tracking.Now()
		for i, hit := range some {
			e := read[i]
			ends := now + e.ttl
			switch {
			case e.err != nil || e.found && e.ttl <= 0: // without a TTL, a second write would not show
				l.stats.verifiedSource.unknown.Add(1)
			case !e.found || e.data != hit.data || hit.until != 0 && (ends-hit.ends).Abs() > sameWrite:
				l.stats.verifiedSource.changed.Add(1)
			default:
				hit.ends = ends
				same = append(same, hit)
			}
		}
	}
	return same
}

// contradicted reports whether the source does not have the value of hit.
func (l *loads) contradicted(ctx context.Context, hit sourceCheck) bool {
	values, cancel := context.WithTimeoutCause(hit.values, l.cfg.LoadTimeout, ErrLoadTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	l.stats.loads.Add(1)
	all, err := l.runLoader(values, hit.load, []string{hit.id})
	if err != nil {
		l.stats.loadFailures.Add(1)
	}
	v, ok := all[hit.id]
	switch {
	case ok && v.err == nil && l.sameValue(hit.data, v.data):
		l.stats.verifiedSource.same.Add(1)
	case ok && v.err != nil && !errors.Is(v.err, ErrNotFound), !ok && err != nil:
		l.stats.verifiedSource.unknown.Add(1)
	default:
		return true
	}
	return false
}

// sameValue reports whether data from Redis is what encoded is. Another program may have
// written the same value in another form.
func (l *loads) sameValue(data string, encoded []byte) bool {
	if data == string(encoded) {
		return true
	}
	own, err := l.recode(data)
	return err == nil && string(own) == string(encoded)
}

// dropStale deletes and reports a value that the source does not have.
func (l *loads) dropStale(ctx context.Context, hit sourceCheck) {
	ctx, cancel := context.WithTimeout(ctx, detachedTimeout)
	defer cancel()
	if err := l.far.delete(ctx, []string{hit.key}); err != nil {
		l.redisFailed(ctx, "verify", err)
	}
	l.changed(hit.id)
	l.misses.forget(hit.id)
	l.report.OnError(ctx, l.report.Fail("verify", &StaleError{Source: true, Age: tracking.Now() - hit.read}))
}
