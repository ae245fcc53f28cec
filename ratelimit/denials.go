package ratelimit

import (
	"sync"
	"time"
)

// denials remembers denials until their RetryAfter.
type denials struct {
	mu    sync.RWMutex
	epoch int // rises with each Reset
	known recent[denial]
}

// A denial holds for requests of the same cost: one that costs less may pass,
// one that costs more may have to wait longer.
type denial struct {
	n      int
	result Result
	reset  time.Time
}

func newDenials(size int) *denials { return &denials{known: newRecent[denial](size)} }

// find is the denial of n to id that still holds, or false and the epoch in
// which a decision of Redis begins.
func (d *denials) find(id string, n int) (Result, int, bool) {
	now := time.Now()
	d.mu.RLock()
	e, ok := d.known.get(id, now)
	epoch := d.epoch
	d.mu.RUnlock()
	if !ok || e.value.n != n {
		return Result{}, epoch, false
	}
	res := e.value.result
	res.RetryAfter = e.until.Sub(now)
	res.ResetAfter = e.value.reset.Sub(now)
	return res, epoch, true
}

// remember keeps what Redis has just decided, unless a Reset came between.
// Time counts from the reply on, later than Redis decided: who was told to
// wait is not told too little.
func (d *denials) remember(id string, n int, res Result, epoch int) {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.epoch != epoch {
		return
	}
	if known, ok := d.known.get(id, now); ok && known.value.n < n {
		return // cheap requests are the many
	}
	d.known.put(id, entry[denial]{denial{n, res, now.Add(res.ResetAfter)}, now.Add(res.RetryAfter)}, now)
}

// forget makes sure that nothing decided before holds.
func (d *denials) forget(id string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	d.known.forget(id)
}
