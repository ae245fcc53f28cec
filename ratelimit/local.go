package ratelimit

import (
	"sync"
	"time"
)

// localCounts applies policies in this process, for a limited number of ids.
type localCounts struct {
	policies []Policy
	mu       sync.Mutex
	byID     ttlMap[[]meter] // one meter for each policy, until all of them are reset
}

const maxLocalIDs = 1 << 16

func newLocalCounts(policies []Policy) *localCounts {
	return &localCounts{policies: policies, byID: newTTLMap[[]meter](maxLocalIDs)}
}

// decide does what redisCounts.decide does, without Redis.
func (l *localCounts) decide(id string, n int) Result {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.byID.get(id, now)
	if !ok {
		for _, p := range l.policies {
			e.value = append(e.value, p.meter(now))
		}
	}
	allowed := true
	for _, m := range e.value {
		if _, retry, _ := m.look(now, max(n, 1)); retry > 0 {
			allowed = false
		}
	}
	var res Result
	for i, m := range e.value {
		if allowed && n > 0 {
			m.charge(now, n)
		}
		p := l.policies[i]
		of := Result{Allowed: allowed, Policy: p, Limit: p.limit()}
		of.Remaining, of.RetryAfter, of.ResetAfter = m.look(now, max(n, 1))
		if allowed {
			of.RetryAfter = 0 // look returned that of the next request
		}
		if e.until.Before(now.Add(of.ResetAfter)) {
			e.until = now.Add(of.ResetAfter)
		}
		if i == 0 {
			res = of
		} else {
			res = binding(res, of)
		}
	}
	if allowed && n > 0 {
		l.byID.put(id, e, now)
	}
	return res
}

// remove removes the counts of id.
func (l *localCounts) remove(id string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byID.remove(id)
}

// A meter counts the requests of one id for one policy.
type meter interface {
	// look returns how much remains, how long it takes until n are allowed (0 if they
	// are allowed now), and how long it takes until nothing counts any more.
	look(now time.Time, n int) (remaining int, retry, reset time.Duration)
	// charge counts n requests, whether they are allowed or not.
	charge(now time.Time, n int)
}

// meter returns a meter of p that has counted nothing.
func (p Policy) meter(now time.Time) meter {
	switch p.kind {
	case slidingWindow:
		span := p.per / 10
		return &slidingMeter{limit: p.n, span: span, start: now.Add(-10 * span), current: 10}
	case gcra:
		return &gcraMeter{burst: p.burst, interval: p.per / time.Duration(p.n), fullAt: now}
	default:
		return &fixedMeter{limit: p.n, window: p.per}
	}
}

type fixedMeter struct {
	limit  int
	window time.Duration
	end    time.Time
	used   int
}

func (m *fixedMeter) look(now time.Time, n int) (remaining int, retry, reset time.Duration) {
	if !now.Before(m.end) {
		return m.limit, 0, 0
	}
	reset = m.end.Sub(now)
	if m.used+n > m.limit {
		retry = reset
	}
	return m.limit - m.used, retry, reset
}

func (m *fixedMeter) charge(now time.Time, n int) {
	if !now.Before(m.end) {
		m.end, m.used = now.Add(m.window), 0
	}
	m.used += n
}

// A slidingMeter counts in buckets of one span each: the current one and the ten before
// it.
type slidingMeter struct {
	limit   int
	span    time.Duration // a tenth of the window
	start   time.Time
	buckets [11]int // a bucket's index is its number modulo 11
	current int64   // number of the current bucket: spans since start
}

// advance makes the bucket of now the current one, and empties those that are reused.
func (m *slidingMeter) advance(now time.Time) {
	to := int64(now.Sub(m.start) / m.span)
	for bucket := m.current + 1; bucket <= min(to, m.current+11); bucket++ {
		m.buckets[bucket%11] = 0
	}
	m.current = to
}

func (m *slidingMeter) look(now time.Time, n int) (remaining int, retry, reset time.Duration) {
	m.advance(now)
	remaining = m.limit
	for _, count := range m.buckets {
		remaining -= count
	}
	free := remaining
	for bucket := m.current - 10; bucket <= m.current; bucket++ {
		// A bucket counts until the eleventh one after it begins.
		left := m.start.Add(time.Duration(bucket+11) * m.span).Sub(now)
		if free < n {
			retry = left
		}
		if count := m.buckets[bucket%11]; count > 0 {
			free += count
			reset = left
		}
	}
	return remaining, retry, reset
}

func (m *slidingMeter) charge(now time.Time, n int) {
	m.advance(now)
	m.buckets[m.current%11] += n
}

// A gcraMeter is a bucket of burst tokens that gains one every interval. It keeps the
// time at which the bucket will be full: each charge puts that off by an interval.
type gcraMeter struct {
	burst    int
	interval time.Duration
	fullAt   time.Time
}

func (m *gcraMeter) look(now time.Time, n int) (remaining int, retry, reset time.Duration) {
	reset = max(m.fullAt.Sub(now), 0)
	fillTime := m.interval * time.Duration(m.burst)
	retry = max(reset+m.interval*time.Duration(n)-fillTime, 0)
	return int((fillTime - reset) / m.interval), retry, reset
}

func (m *gcraMeter) charge(now time.Time, n int) {
	if m.fullAt.Before(now) {
		m.fullAt = now
	}
	m.fullAt = m.fullAt.Add(m.interval * time.Duration(n))
}
