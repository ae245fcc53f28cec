package ratelimit

import (
	"sync"
	"time"
)

// local applies policies in this process, for a bounded number of ids.
type local struct {
	policies []Policy
	mu       sync.Mutex
	ids      recent[[]meter] // until all are reset
}

const localIDs = 1 << 16

func newLocal(policies []Policy) *local {
	return &local{policies: policies, ids: newRecent[[]meter](localIDs)}
}

// A meter is what one policy counts of one id.
type meter interface {
	// look says how much remains, and how long it takes until n are allowed
	// (0 if they are) and until nothing counts any more.
	look(now time.Time, n int) (remaining int, retry, reset time.Duration)
	charge(now time.Time, n int)
}

func (p Policy) meter(now time.Time) meter {
	switch p.kind {
	case slidingWindow:
		span := p.per / 10
		return &slidingMeter{limit: p.n, span: span, start: now.Add(-10 * span), current: 10}
	case gcra:
		return &bucketMeter{burst: p.burst, interval: p.per / time.Duration(p.n), owedUntil: now}
	default:
		return &fixedMeter{limit: p.n, window: p.per}
	}
}

// ask is what counts.ask is, without Redis.
func (l *local) ask(id string, n int) Result {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.ids.get(id, now)
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
			of.RetryAfter = 0 // that of one more
		}
		if e.until.Before(now.Add(of.ResetAfter)) {
			e.until = now.Add(of.ResetAfter)
		}
		if i == 0 {
			res = of
		} else {
			res = binds(res, of)
		}
	}
	if allowed && n > 0 {
		l.ids.put(id, e, now)
	}
	return res
}

func (l *local) forget(id string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids.forget(id)
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

// A slidingMeter counts the last eleven spans of time in a ring.
type slidingMeter struct {
	limit   int
	span    time.Duration
	start   time.Time
	counts  [11]int
	current int64 // spans since start
}

func (m *slidingMeter) advance(now time.Time) {
	to := int64(now.Sub(m.start) / m.span)
	for span := m.current + 1; span <= min(to, m.current+11); span++ {
		m.counts[span%11] = 0
	}
	m.current = to
}

func (m *slidingMeter) look(now time.Time, n int) (remaining int, retry, reset time.Duration) {
	m.advance(now)
	remaining = m.limit
	for _, count := range m.counts {
		remaining -= count
	}
	freed := remaining
	for span := m.current - 10; span <= m.current; span++ {
		// It counts until the eleventh span after it begins.
		left := m.start.Add(time.Duration(span+11) * m.span).Sub(now)
		if freed < n {
			retry = left
		}
		if count := m.counts[span%11]; count > 0 {
			freed += count
			reset = left
		}
	}
	return remaining, retry, reset
}

func (m *slidingMeter) charge(now time.Time, n int) {
	m.advance(now)
	m.counts[m.current%11] += n
}

// A bucketMeter owes each charge an interval of time.
type bucketMeter struct {
	burst     int
	interval  time.Duration
	owedUntil time.Time
}

func (m *bucketMeter) look(now time.Time, n int) (remaining int, retry, reset time.Duration) {
	owed := max(m.owedUntil.Sub(now), 0)
	full := m.interval * time.Duration(m.burst)
	retry = max(owed+m.interval*time.Duration(n)-full, 0)
	return int((full - owed) / m.interval), retry, owed
}

func (m *bucketMeter) charge(now time.Time, n int) {
	if m.owedUntil.Before(now) {
		m.owedUntil = now
	}
	m.owedUntil = m.owedUntil.Add(m.interval * time.Duration(n))
}
