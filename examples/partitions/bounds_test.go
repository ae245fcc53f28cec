package partitions

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// A column is one figure of the table, with the bounds that rediskit promises for it. A
// bound of zero promises nothing.
type column struct {
	head, meaning string
	of            func(f figures) int64 // nanoseconds, or a number
	time          bool
	plain         bool // a client without rediskit has it too
	median, worst func(f fault) int64
}

const second = int64(time.Second)

func always(n int64) func(fault) int64 { return func(fault) int64 { return n } }

// unlessSilent is n, or five seconds if nobody is told that an address has moved.
func unlessSilent(n int64) func(fault) int64 {
	return func(f fault) int64 {
		if f.silent {
			return 5 * second
		}
		return n
	}
}

var columns = []column{
	{
		head: "calls", time: true, plain: true, median: unlessSilent(second), worst: unlessSilent(2 * second),
		of:      func(f figures) int64 { return int64(f.calls) },
		meaning: "until the first call after which, for a second, no call fails, takes more than 250 ms or is lost",
	},
	{
		head: "slow", plain: true, worst: func(f fault) int64 { return forMany(f, 64) },
		of:      func(f figures) int64 { return int64(f.slow) },
		meaning: "calls of more than 250 ms, from the fault on",
	},
	{
		head: "again", plain: true, worst: func(f fault) int64 { return forMany(f, 1) },
		of:      func(f figures) int64 { return int64(f.again) },
		meaning: "the most slow calls that one caller had",
	},
	{
		head: "dials", plain: true, worst: always(20),
		of:      func(f figures) int64 { return int64(f.dials) },
		meaning: "the most dials in a second to one node that is not well",
	},
	{
		head: "near", time: true, worst: unlessSilent(2 * second),
		of:      func(f figures) int64 { return int64(f.near) },
		meaning: "the greatest age of a value that was read, near copy or not, after a newer one had been written at the server that counts",
	},
	{
		head: "hub", time: true, plain: true, worst: unlessSilent(2 * second),
		of:      func(f figures) int64 { return int64(f.hub) },
		meaning: "until a Hub (with go-redis alone its PubSub) receives the first message from the server that counts",
	},
	{
		head: "missed", plain: true, worst: always(0),
		of:      func(f figures) int64 { return int64(f.missed) },
		meaning: "messages that Redis confirmed, to the test at the server that counts or to this client, and that were neither received nor in a gap. go-redis tells of no gaps: there these are the messages of the test that it did not receive",
	},
	{
		head: "waiter", time: true, worst: unlessSilent(2 * second),
		of:      func(f figures) int64 { return int64(f.waiter) },
		meaning: "until a caller that waits for a lock has it, after the lock was deleted at the server that counts",
	},
	{
		head: "lost", plain: true,
		of:      func(f figures) int64 { return int64(f.lost) },
		meaning: "confirmed writes that are not at the server that counts in the end",
	},
	{
		head: "two holders", time: true,
		of:      func(f figures) int64 { return int64(f.together) },
		meaning: "how long two holders trusted the same lock (TTL 10 s)",
	},
}

// forMany bounds a figure of many callers.
func forMany(f fault, n int64) int64 {
	if f.callers > 1 {
		return n
	}
	return -1
}

// applies reports whether the column says something about the fault.
func (c column) applies(f fault, kind string) bool {
	switch {
	case kind == plainKind && !c.plain:
		return false
	case c.head == "two holders":
		return f.rival
	case c.head == "again":
		return f.callers > 1
	}
	return true
}

// spread returns the median and the worst.
func (c column) spread(all []figures) (median, worst int64) {
	values := make([]int64, len(all))
	for i, f := range all {
		values[i] = c.of(f)
	}
	slices.Sort(values)
	return values[len(values)/2], values[len(values)-1]
}

func (c column) text(n int64) string {
	switch {
	case n == none:
		return "–"
	case !c.time:
		return fmt.Sprint(n)
	case n == int64(never):
		return "never"
	case n < second:
		return fmt.Sprint(n/int64(time.Millisecond), " ms")
	}
	return fmt.Sprintf("%.1f s", time.Duration(n).Seconds())
}

// exceeded returns what is worse than promised.
func (c column) exceeded(f fault, all []figures) string {
	median, worst := c.spread(all)
	if c.worst != nil {
		if bound := c.worst(f); bound >= 0 && worst > bound {
			return fmt.Sprintf("%s: %s at worst; the bound is %s", c.head, c.text(worst), c.text(bound))
		}
	}
	if c.median != nil {
		if bound := c.median(f); median > bound {
			return fmt.Sprintf("%s: %s in the median; the bound is %s", c.head, c.text(median), c.text(bound))
		}
	}
	return ""
}

// check fails the test for each bound that was exceeded. A single run on a busy machine
// only has to recover, and to tell of what is missing.
func (r *results) check(t *testing.T) {
	for _, f := range faults {
		all := r.figures[f.name][rediskitKind]
		if len(all) == 0 {
			continue
		}
		for _, c := range columns {
			_, worst := c.spread(all)
			what := c.exceeded(f, all)
			if what != "" && (*runs > 0 || worst == int64(never) || c.head == "missed") {
				t.Errorf("%s: %s", f.name, what)
			}
		}
	}
}
