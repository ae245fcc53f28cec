package ratelimit

import (
	"sync"
	"time"
)

// A denyCache remembers denials until their RetryAfter, in this process.
type denyCache struct {
	mu         sync.RWMutex
	generation int // rises with each Reset
	byID       ttlMap[denial]
}

// A denial holds for requests of the same cost. A cheaper request may pass, and a more
// expensive one may have to wait longer.
type denial struct {
	n       int
	result  Result
	resetAt time.Time
}

func newDenyCache(limit int) *denyCache { return &denyCache{byID: newTTLMap[denial](limit)} }

// get returns the denial of n to id, if one still holds. It also returns the generation,
// which put needs. Call it before Redis is asked.
func (d *denyCache) get(id string, n int) (res Result, generation int, ok bool) {
	now := time.Now()
	d.mu.RLock()
	e, ok := d.byID.get(id, now)
	generation = d.generation
	d.mu.RUnlock()
	if !ok || e.value.n != n {
		return Result{}, generation, false
	}
	res = e.value.result
	res.RetryAfter = e.until.Sub(now)
	res.ResetAfter = e.value.resetAt.Sub(now)
	return res, generation, true
}

// put remembers a denial that Redis has just made, unless a Reset came after generation
// was read. Its times count from the arrival of the reply, which is later than the
// decision of Redis, so that no remembered RetryAfter is too short.
func (d *denyCache) put(id string, n int, res Result, generation int) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.generation != generation {
		return
	}
	if known, ok := d.byID.get(id, now); ok && known.value.n < n {
		return // most requests are cheap: keep the denial that covers them
	}
	d.byID.put(id, entry[denial]{denial{n, res, now.Add(res.ResetAfter)}, now.Add(res.RetryAfter)}, now)
}

// remove removes the denial of id, and makes put drop every decision that has begun.
func (d *denyCache) remove(id string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generation++
	d.byID.remove(id)
}
