package cache

import (
	"context"
	"errors"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/sender"
)

// loads answer misses: with one load per process, by calls that callers share, and
// one per fleet, by leases in Redis. They know values only as bytes.
type loads struct {
	far      *far
	cfg      Config
	report   *report.Reporter
	stats    *counters
	life     *life.Life
	check    func(data string) error           // nil if data is a value
	recode   func(data string) ([]byte, error) // data as the codec writes it
	changed  func(ids ...string)               // drops what this process holds of ids
	misses   calls
	renewals calls
}

// Pauses between two looks at a lease that another process holds. Each is an eighth
// longer than the one before, and so about an eighth of the time that has passed. A
// waiter notices the fill of a quick load soon, and does not ask often for a slow one.
const (
	firstLeasePause = 5 * time.Millisecond
	lastLeasePause  = 40 * time.Millisecond
)

// run answers calls. It asks again and again for those whose lease another process
// holds; the others do not wait for them.
func (l *loads) run(ctx context.Context, waiting []*call, load loader) {
	var loading sync.WaitGroup
	defer loading.Wait()
	patience, cancel := context.WithTimeout(ctx, l.cfg.WaitTimeout)
	defer cancel()
	for pause := firstLeasePause; ; pause = min(pause*9/8, lastLeasePause) {
		ready, held := l.acquire(ctx, waiting)
		if len(held) == 0 {
			l.load(ctx, ready, load)
			return
		}
		if len(ready) > 0 {
			loading.Go(func() { l.load(ctx, ready, load) })
		}
		l.stats.leaseWaits.Add(uint64(len(held)))
		if !life.Sleep(patience, jitter(pause)) {
			l.load(ctx, held, load)
			return
		}
		waiting = held
	}
}

// acquire asks for the leases of calls, in one round trip. It finishes those that are
// answered already. It returns the calls that may load now, because they have the
// lease or because Redis did not answer, and those that another process is loading.
func (l *loads) acquire(ctx context.Context, waiting []*call) (ready, held []*call) {
	for _, c := range waiting {
		if c.token == "" {
			c.token = l.far.newToken()
		}
		c.lease = leaseUnknown
		c.nextStep()
	}
	var again []*call
	for i, reply := range l.far.acquire(ctx, waiting) {
		c := waiting[i]
		switch {
		case reply.err != nil:
			l.redisFailed(ctx, "load", reply.err)
			ready = append(ready, c)
		case reply.status == "value":
			err := l.check(reply.value)
			switch {
			case err == nil:
				c.finish(answer{data: bytesOf(reply.value), joinedBefore: c.step})
			case c.replaces == "": // the read that missed has reported it
				c.replaces = digest(reply.value)
				again = append(again, c)
			default: // it changes all the time and never decodes
				ready = append(ready, c)
			}
		case reply.status == "absent":
			l.stats.negativeHits.Add(1)
			c.finish(answer{err: l.report.Fail("load", ErrNotFound), absent: true, joinedBefore: c.step})
		case reply.status == "held":
			c.lease = leaseHeld
			held = append(held, c)
		default:
			c.lease = leaseOwned
			c.notePTTL(reply.pttl)
			ready = append(ready, c)
		}
	}
	if len(again) > 0 {
		more, waiting := l.acquire(ctx, again)
		ready, held = append(ready, more...), append(held, waiting...)
	}
	return ready, held
}

// load runs the loader once for all calls, stores what it brought where the lease
// allows it, and finishes them.
func (l *loads) load(ctx context.Context, calls []*call, load loader) {
	if len(calls) == 0 {
		return
	}
	ids := make([]string, len(calls))
	for i, c := range calls {
		c.nextStep()
		ids[i] = c.id
	}
	l.stats.loads.Add(1)
	bounded, cancel := context.WithTimeoutCause(ctx, l.cfg.LoadTimeout, ErrLoadTimeout)
	values, err := l.runLoader(bounded, load, ids)
	cancel()
	if err != nil {
		l.stats.loadFailures.Add(1)
	}

	// Nobody may join from here on: what the fill says of the lease holds only for
	// callers that came before the fill was sent.
	answers := make([]answer, len(calls))
	for i, c := range calls {
		c.seal()
		answers[i] = l.answerOf(c, values, err)
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), detachedTimeout) // Close must not leave a lease behind
	defer cancel()
	l.settle(ctx, calls, answers)
	if l.cfg.StaleFor > 0 {
		l.coverWithStale(ctx, calls, answers)
	}
	var unsure []*call
	for i, c := range calls {
		c.finish(answers[i])
		if c.lease == leaseUnknown && c.token != "" {
			unsure = append(unsure, c)
		}
	}
	l.far.release(ctx, unsure)
}

// answerOf returns what the loader said of one call.
func (l *loads) answerOf(c *call, values map[string]loaded, err error) answer {
	a := answer{joinedBefore: everyStep}
	if c.lease != leaseOwned { // nothing proves that no Delete came meanwhile
		a.joinedBefore, a.unconfirmed = c.step, c.lease == leaseUnknown
	}
	value, ok := values[c.id]
	switch {
	case ok && value.err == nil:
		a.data = value.data
	case ok:
		a.err, a.absent = value.err, errors.Is(value.err, ErrNotFound)
	case err != nil:
		a.err = err
	default:
		a.err, a.absent = l.report.Fail("load", ErrNotFound), true
	}
	return a
}

// settle ends the leases of calls, in one round trip: with a fill, with the memory of
// an absence, or by giving them back.
func (l *loads) settle(ctx context.Context, calls []*call, answers []answer) {
	var scripts []sender.Call
	var settled []int
	for i, c := range calls {
		if c.lease != leaseOwned {
			continue
		}
		settled = append(settled, i)
		switch a := answers[i]; {
		case a.absent:
			scripts = append(scripts, l.far.absentCall(c))
		case a.err != nil:
			scripts = append(scripts, l.far.releaseCall(c))
		case l.far.tooLarge(a.data):
			l.stats.tooLarge.Add(1)
			l.report.OnError(ctx, l.report.Fail("fill", ErrTooLarge))
			scripts = append(scripts, l.far.releaseCall(c))
		default:
			scripts = append(scripts, l.far.fillCall(c, a.data))
		}
	}
	for n, cmd := range l.far.sender.RunMany(ctx, sender.Repeatable, scripts...) {
		i := settled[n]
		l.changed(calls[i].id)
		done, err := cmd.Int()
		switch {
		case err != nil:
			l.redisFailed(ctx, "fill", err)
			answers[i].joinedBefore = calls[i].step
			calls[i].lease = leaseUnknown
		case done == 0:
			answers[i].joinedBefore = calls[i].step
			if scripts[n].Script != releaseScript {
				l.stats.refusedFills.Add(1)
				l.report.OnError(ctx, l.report.Fail("fill", ErrRefused))
			}
		case scripts[n].Script == fillScript:
			l.stats.fills.Add(1)
		}
	}
}

// coverWithStale replaces the errors of a failed load by stale copies, where there
// are any. A Delete deletes the copy too, so no copy outlives its value's Delete.
func (l *loads) coverWithStale(ctx context.Context, calls []*call, answers []answer) {
	var failed []int
	var keys []string
	for i, a := range answers {
		if a.err != nil && !a.absent && calls[i].in == &l.misses { // no caller waits for a renewal
			failed = append(failed, i)
			keys = append(keys, calls[i].key)
		}
	}
	for n, stale := range l.far.stale(ctx, keys) {
		if i := failed[n]; stale.found && l.check(stale.data) == nil {
			l.stats.staleHits.Add(1)
			l.report.OnError(ctx, answers[i].err)
			answers[i] = answer{data: bytesOf(stale.data), joinedBefore: answers[i].joinedBefore}
		}
	}
}

// redisFailed reports a failure of Redis that the loader makes good.
func (l *loads) redisFailed(ctx context.Context, op string, err error) {
	l.report.OnError(ctx, l.report.Redis(ctx, op, err))
}

// jitter returns a random 75 to 125 % of a pause, so that the waiters of a fleet do
// not ask at the same moments.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + mathrand.N(d/2)
}
