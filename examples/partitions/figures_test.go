package partitions

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// never is the duration of what did not happen while it was observed.
const never = time.Duration(1<<63 - 1)

// Figures are what one client has seen of one run.
type figures struct {
	calls    time.Duration // from the reference to the first call after which all is well
	slow     int           // calls of more than slowCall, from the fault on
	again    int           // the most of them that one caller had
	dials    int           // the most in a second to a node that is not well
	near     time.Duration // the greatest age of a value that was read
	hub      time.Duration // from the reference to the first message from after it
	missed   int           // confirmed messages that neither arrived nor are in a gap
	own      int           // of missed, those that the client itself has published
	waiter   time.Duration // from the release to the lock
	lost     int           // confirmed calls that are not at the server that counts
	written  int           // confirmed calls, from the fault on
	together time.Duration // two holders trusted one lock
	others   int           // missed messages of publishers of another client
	failure  string        // the last of a call
}

const (
	slowCall = 250 * time.Millisecond
	// none is the number of dials if no node is unwell.
	none = -1
)

func (r *run) figures(kind string, rec *record) figures {
	lost := r.lost(kind, rec.Calls)
	f := figures{
		lost:    len(lost),
		calls:   recovery(rec.Calls, lost, r.reference),
		dials:   r.dials(rec.Dials),
		hub:     heard(rec.Events, r.first, r.reference),
		missed:  missed(r.truth.sent, rec.Events, direct),
		failure: rec.Error,
	}
	f.slow, f.again = slow(rec.Calls, r.began)
	for _, c := range rec.Calls {
		if c.OK && c.End > r.began {
			f.written++
		}
	}
	if kind == rediskitKind {
		f.own = missed(rec.Sent, rec.Events, rediskitKind)
		f.missed += f.own
		f.near = age(r.truth.written, rec.Reads, r.nearFrom)
		f.waiter = never
		if rec.Waited > 0 {
			f.waiter = time.Duration(max(0, rec.Waited-r.truth.released))
		}
	}
	return f
}

// recovery returns the time from the reference to the end of the first good call after
// which, for a second, every call is good. A good call is quick, and its write was not lost.
func recovery(calls []call, lost map[[2]int]bool, reference int64) time.Duration {
	bad := func(c call) bool {
		return !c.OK || c.End-c.Start > int64(slowCall) || lost[[2]int{c.Caller, c.N}]
	}
	calls = slices.SortedFunc(slices.Values(calls), func(a, b call) int { return cmp.Compare(a.End, b.End) })
	for i, c := range calls {
		stays := c.OK && !lost[[2]int{c.Caller, c.N}]
		if !stays || c.End < reference {
			continue
		}
		relapses := slices.ContainsFunc(calls[i+1:], func(d call) bool { return bad(d) && d.Start < c.End+int64(time.Second) })
		if !relapses {
			return time.Duration(c.End - reference)
		}
	}
	return never
}

// slow counts slow calls that ended after the fault, and the most of one caller.
func slow(calls []call, began int64) (all, most int) {
	by := map[int]int{}
	for _, c := range calls {
		if c.End > began && c.End-c.Start > int64(slowCall) {
			by[c.Caller]++
			all++
			most = max(most, by[c.Caller])
		}
	}
	return all, most
}

// dials returns the most dials in a second to a node while it was not well.
func (r *run) dials(dials []dial) int {
	if len(r.sick) == 0 {
		return none
	}
	most, by := 0, map[string][]int64{}
	for _, d := range dials {
		if !r.sick[d.Addr] || d.At < r.began || r.sickUntil > 0 && d.At > r.sickUntil {
			continue
		}
		recent := slices.DeleteFunc(by[d.Addr], func(at int64) bool { return d.At-at > int64(time.Second) })
		by[d.Addr] = append(recent, d.At)
		most = max(most, len(by[d.Addr]))
	}
	return most
}

// age returns the greatest age of a value that was read: how long before the read the next
// version had been written. Time before from does not count.
func age(written, reads map[int]int64, from int64) time.Duration {
	oldest := int64(0)
	for version, at := range reads {
		if next, ok := written[version+1]; ok {
			oldest = max(oldest, at-max(next, from))
		}
	}
	return time.Duration(oldest)
}

// heard returns the time from the reference to the first message that was published at
// the server that counts after it.
func heard(events []event, first int, reference int64) time.Duration {
	for _, e := range events {
		if e.From == direct && e.N >= first {
			return time.Duration(max(0, e.At-reference))
		}
	}
	return never
}

// missed counts the confirmed messages of a publisher that did not arrive, and that no gap
// excuses: one that stands where they should, and was read after they were sent. What was
// sent after the last event, or just before it, may still arrive.
func missed(sent []message, events []event, from string) int {
	sent = slices.SortedFunc(slices.Values(sent), func(a, b message) int { return cmp.Compare(a.N, b.N) })
	missed, next := 0, 0
	gap := int64(0) // when the last gap since the last message was read
	skip := func(before int) {
		for ; next < len(sent) && sent[next].N < before; next++ {
			if sent[next].Start > gap {
				missed++
			}
		}
		gap = 0
	}
	for _, e := range events {
		switch e.From {
		case "":
			gap = e.At
		case from:
			skip(e.N)
			if next < len(sent) && sent[next].N == e.N {
				next++
			}
		}
	}
	if len(events) > 0 {
		settled := events[len(events)-1].At - int64(500*time.Millisecond)
		for _, m := range sent[next:] {
			if m.Start > gap && m.Start < settled {
				missed++
			}
		}
	}
	return missed
}

// overlap returns for how long two holders trusted a lock at once.
func overlap(a, b []span) time.Duration {
	sum := int64(0)
	for _, x := range a {
		for _, y := range b {
			sum += max(0, min(x.To, y.To)-max(x.From, y.From))
		}
	}
	return time.Duration(sum)
}

// String is for the log of a run.
func (f figures) String() string {
	text := ""
	for _, c := range columns {
		text += c.head + " " + c.text(c.of(f)) + ", "
	}
	return text + fmt.Sprintf("own missed %d, written %d, others %d, last failure: %s", f.own, f.written, f.others, f.failure)
}
