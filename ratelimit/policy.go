package ratelimit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Policy is one limit. Make it with FixedWindow, PerSecond, PerMinute, PerHour,
// SlidingWindow or GCRA. New says what is wrong with an impossible one. Policies may be
// compared with ==.
type Policy struct {
	kind   kind
	n      int
	per    time.Duration
	burst  int    // of GCRA alone
	custom string // the name that Named gave it
}

// A kind is how a policy counts. Its text is part of keys in Redis.
type kind string

const (
	fixedWindow   kind = "fixed"
	slidingWindow kind = "sliding"
	gcra          kind = "gcra"
)

// FixedWindow allows n in each window. A window begins with the first request after the
// last one has ended. This is what INCR and EXPIRE of a counter do, made atomic. Around
// the end of a window up to 2n may pass within a short time: n at the end of one window
// and n at the beginning of the next. SlidingWindow allows no such burst.
//
// This is guaranteed while Redis keeps the counter. Redis may lose it, as it may lose any
// policy's count, by a restart without persistence, an eviction, a flush or a failover.
// The next request then begins a new window: up to n more pass, each time, and no Result
// or error says so. Persistence and the noeviction policy make that rare. Nothing here
// makes it impossible.
//
// n is from 1 to 1e9. per is whole milliseconds, up to 366 days.
func FixedWindow(n int, per time.Duration) Policy {
	return Policy{kind: fixedWindow, n: n, per: per}
}

// PerSecond is FixedWindow(n, time.Second).
func PerSecond(n int) Policy { return FixedWindow(n, time.Second) }

// PerMinute is FixedWindow(n, time.Minute).
func PerMinute(n int) Policy { return FixedWindow(n, time.Minute) }

// PerHour is FixedWindow(n, time.Hour).
func PerHour(n int) Policy { return FixedWindow(n, time.Hour) }

// SlidingWindow allows at most n in any span of time of length per. It counts in buckets
// of a tenth of per: the current one and the ten before it. So a request counts for
// between per and 1.1 × per.
//
// n is from 1 to 1e9. per is whole milliseconds, up to 366 days.
func SlidingWindow(n int, per time.Duration) Policy {
	return Policy{kind: slidingWindow, n: n, per: per}
}

// GCRA allows n in each time of length per on average, evenly spread, and up to burst at
// once after a pause. It is the generic cell rate algorithm: a token bucket of size burst
// that gains a token each per/n. Its Limit is burst.
//
// It must be the only policy of its limiter. n and burst are from 1 to 1e9. The interval
// of a token, per/n, is at least 10 µs. per is whole milliseconds; it and the time to
// fill the bucket are at most 366 days.
func GCRA(n int, per time.Duration, burst int) Policy {
	return Policy{kind: gcra, n: n, per: per, burst: burst}
}

// Named returns p under another name: 1 to 64 printable ASCII characters. String returns
// the name, and clients see it in the RateLimit fields of the middleware. It is no part
// of a key.
func (p Policy) Named(name string) Policy {
	p.custom = name
	if name == "" {
		p.custom = "\x00" // an empty name, which New refuses
	}
	return p
}

// String returns the policy's name. Unless Named gave it another, the name is made of its
// numbers, such as "100 per 1m".
func (p Policy) String() string {
	if p.custom != "" {
		return p.custom
	}
	name := strconv.Itoa(p.n) + " per " + short(p.per)
	switch p.kind {
	case slidingWindow:
		name += " sliding"
	case gcra:
		name += " burst " + strconv.Itoa(p.burst)
	}
	return name
}

// short returns d as text without zeros at its end: 1h instead of 1h0m0s.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// limit returns the most that p ever allows at once.
func (p Policy) limit() int {
	if p.kind == gcra {
		return p.burst
	}
	return p.n
}

// siblingKind returns the kind of the sibling key in which p counts. The kind of a window
// does not name the limit, because its counts mean the same under another limit. The kind
// of a GCRA names all its numbers, because its timestamp means something else under each.
func (p Policy) siblingKind() string {
	name := "limit-" + string(p.kind) + "-" + short(p.per)
	if p.kind == gcra {
		name += "-" + strconv.Itoa(p.n) + "-" + strconv.Itoa(p.burst)
	}
	return name
}

const (
	maxLimit    = 1e9
	maxPer      = 366 * 24 * time.Hour
	minInterval = 10 * time.Microsecond // between two tokens of GCRA
	maxName     = 64                    // characters
)

// check returns what is wrong with p.
func (p Policy) check() error {
	if p.kind == "" {
		return errors.New("is empty; make it with FixedWindow, SlidingWindow or GCRA")
	}
	if p.n < 1 || p.n > maxLimit {
		return fmt.Errorf("has n = %d; it must be from 1 to 1e9", p.n)
	}
	if p.per < time.Millisecond || p.per > maxPer || p.per%time.Millisecond != 0 {
		return fmt.Errorf("has per = %v; it must be whole milliseconds, from 1ms to 366 days", p.per)
	}
	if p.kind == gcra {
		if p.burst < 1 || p.burst > maxLimit {
			return fmt.Errorf("has burst = %d; it must be from 1 to 1e9", p.burst)
		}
		if p.per/time.Duration(p.n) < minInterval {
			return fmt.Errorf("allows more than one per %v, the shortest interval that GCRA keeps exactly; use FixedWindow", minInterval)
		}
		if fill := float64(p.burst) * float64(p.per) / float64(p.n); fill > float64(maxPer) {
			return fmt.Errorf("would need more than 366 days to allow burst = %d again; lower it", p.burst)
		}
	}
	if len(p.String()) > maxName || strings.ContainsFunc(p.String(), unprintable) {
		return fmt.Errorf("has an unfit name; it must be 1 to %d printable ASCII characters", maxName)
	}
	return nil
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }

// checkPolicies returns what is wrong with the policies of a limiter.
func checkPolicies(policies []Policy) error {
	if len(policies) == 0 {
		return errors.New("ratelimit: New needs a policy, such as PerMinute(100)")
	}
	names, siblings := map[string]int{}, map[string]int{}
	for i, p := range policies {
		if err := p.check(); err != nil {
			return fmt.Errorf("ratelimit: policy %d %w", i+1, err)
		}
		if p.kind == gcra && len(policies) > 1 {
			return fmt.Errorf("ratelimit: policy %d is a GCRA; it must be the only policy of its limiter", i+1)
		}
		if first, ok := siblings[p.siblingKind()]; ok {
			return fmt.Errorf("ratelimit: policies %d and %d have the same kind and window; keep the smaller one", first, i+1)
		}
		if first, ok := names[p.String()]; ok {
			return fmt.Errorf("ratelimit: policies %d and %d have the same name", first, i+1)
		}
		siblings[p.siblingKind()], names[p.String()] = i+1, i+1
	}
	return nil
}
