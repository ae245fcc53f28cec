package cache

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/script"
)

// An engine answers misses: at most one load per process, by its flights,
// and one per fleet, by the leases in Redis. It knows values only as bytes.
type engine struct {
	store
	report   *report.Reporter
	pattern  keys.Pattern
	stats    counters
	verify   func(data string) error // nil if data is a value
	misses   flights
	renewals flights
	near     invalidator // nil without Config.Local

	life    context.Context // ends at Close
	end     context.CancelCauseFunc
	closing sync.RWMutex // held for reading while a goroutine is added
	running sync.WaitGroup
}

// An invalidator drops values that are kept in this process, and those that
// reads which are under way would keep.
type invalidator interface {
	Invalidate(id string)
	InvalidateAll()
}

// changed is called when Redis has answered a write, or might have carried it
// out without an answer.
func (e *engine) changed(ids ...string) {
	if e.near == nil {
		return
	}
	for _, id := range ids {
		e.near.Invalidate(id)
	}
}

// spawn runs f in a goroutine that Close waits for; false after Close. f's
// context keeps the values of ctx but not its end: a load belongs to all who
// wait for it, and not only to the caller who came first.
func (e *engine) spawn(ctx context.Context, f func(context.Context)) bool {
	e.closing.RLock()
	defer e.closing.RUnlock()
	if e.life.Err() != nil {
		return false
	}
	e.running.Go(func() {
		ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		defer cancel(nil)
		defer context.AfterFunc(e.life, func() { cancel(ErrClosed) })()
		f(ctx)
	})
	return true
}

// Pauses between two looks at a lease that another process holds. Each is an
// eighth longer than the one before, and so about an eighth of the time that
// has passed: a waiter learns of the fill of a quick load soon, and does not
// ask for a slow one all the time.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 40 * time.Millisecond
)

// fly answers flights that missed. Those whose lease another process holds
// are asked for again and again; the others do not wait for them.
func (e *engine) fly(ctx context.Context, fls []*flight, load loader) {
	var loads sync.WaitGroup
	defer loads.Wait()
	patience, cancel := context.WithTimeout(ctx, e.cfg.WaitTimeout)
	defer cancel()
	for pause := firstPause; ; pause = min(pause*9/8, lastPause) {
		ready, held := e.acquire(ctx, fls)
		if len(held) == 0 {
			e.load(ctx, ready, load)
			return
		}
		if len(ready) > 0 {
			loads.Go(func() { e.load(ctx, ready, load) })
		}
		e.stats.leaseWaits.Add(uint64(len(held)))
		if !sleep(patience, jitter(pause)) {
			e.load(ctx, held, load)
			return
		}
		fls = held
	}
}

// acquire asks for the leases of fls, in one round trip. It lands those that
// are answered already and returns those that may load now, with a lease or
// because Redis does not say, and those that another process is loading.
func (e *engine) acquire(ctx context.Context, fls []*flight) (ready, held []*flight) {
	calls := make([]script.Call, len(fls))
	for i, fl := range fls {
		if fl.token == "" {
			fl.token = rand.Text() // a fresh one per load: an old fill never passes
		}
		fl.lease = leaseUnknown
		fl.begin()
		calls[i] = e.acquireCall(fl)
	}
	var again []*flight
	for i, cmd := range script.Run(ctx, e.rdb, script.Once, calls...) {
		fl := fls[i]
		reply, err := readAcquired(cmd)
		if err != nil {
			e.redisFailed(ctx, "load", err)
			ready = append(ready, fl)
			continue
		}
		switch reply.status {
		case "value":
			data := reply.value
			err := e.verify(data)
			switch {
			case err == nil:
				fl.land(answer{data: bytesOf(data), before: fl.steps})
			case fl.replaces == "": // the read that missed has told of it
				fl.replaces = digest(data)
				again = append(again, fl)
			default: // it keeps changing and never decodes
				ready = append(ready, fl)
			}
		case "absent":
			e.stats.negativeHits.Add(1)
			fl.land(answer{err: e.report.Fail("load", ErrNotFound), absent: true, before: fl.steps})
		case "held":
			fl.lease = leaseHeld
			held = append(held, fl)
		case "owned":
			fl.lease = leaseOwned
			fl.saw(reply.pttl)
			ready = append(ready, fl)
		}
	}
	if len(again) > 0 {
		more, waiting := e.acquire(ctx, again)
		ready, held = append(ready, more...), append(held, waiting...)
	}
	return ready, held
}

// load runs the loader once for all of fls, stores what it brought where the
// lease allows it, and lands them.
func (e *engine) load(ctx context.Context, fls []*flight, load loader) {
	if len(fls) == 0 {
		return
	}
	ids := make([]string, len(fls))
	for i, fl := range fls {
		fl.begin()
		ids[i] = fl.id
	}
	e.stats.loads.Add(1)
	bounded, cancel := context.WithTimeoutCause(ctx, e.cfg.LoadTimeout, ErrLoadTimeout)
	values, err := e.call(bounded, load, ids)
	cancel()
	if err != nil {
		e.stats.loadFailures.Add(1)
	}

	// From here on nobody may join: what is known of the lease after the
	// fill holds for callers that came before it was sent.
	answers := make([]answer, len(fls))
	for i, fl := range fls {
		fl.seal()
		answers[i] = e.answerOf(fl, values, err)
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), detachedTimeout) // Close must not orphan a lease
	defer cancel()
	e.settle(ctx, fls, answers)
	if e.cfg.StaleFor > 0 {
		e.coverWithStale(ctx, fls, answers)
	}
	var unsure []*flight
	for i, fl := range fls {
		fl.land(answers[i])
		if fl.lease == leaseUnknown && fl.token != "" {
			unsure = append(unsure, fl)
		}
	}
	e.release(ctx, unsure)
}

// answerOf is what the loader said of one flight.
func (e *engine) answerOf(fl *flight, values map[string]loaded, err error) answer {
	a := answer{before: forAll}
	if fl.lease != leaseOwned { // nothing vouches for it
		a.before, a.blind = fl.steps, fl.lease == leaseUnknown
	}
	value, ok := values[fl.id]
	switch {
	case ok && value.err == nil:
		a.data = value.data
	case ok:
		a.err, a.absent = value.err, errors.Is(value.err, ErrNotFound)
	case err != nil:
		a.err = err
	default:
		a.err, a.absent = e.report.Fail("load", ErrNotFound), true
	}
	return a
}

// settle ends the leases of fls, in one round trip: with a fill, with the
// memory of an absence, or by giving them back.
func (e *engine) settle(ctx context.Context, fls []*flight, answers []answer) {
	var calls []script.Call
	var asked []int
	for i, fl := range fls {
		if fl.lease != leaseOwned {
			continue
		}
		asked = append(asked, i)
		switch a := answers[i]; {
		case a.absent:
			calls = append(calls, e.absentCall(fl))
		case a.err != nil:
			calls = append(calls, e.releaseCall(fl))
		case e.tooLarge(a.data):
			e.stats.tooLarge.Add(1)
			e.report.Tell(ctx, e.report.Fail("fill", ErrTooLarge))
			calls = append(calls, e.releaseCall(fl))
		default:
			calls = append(calls, e.fillCall(fl, a.data))
		}
	}
	for n, cmd := range script.Run(ctx, e.rdb, script.Retried, calls...) {
		i := asked[n]
		e.changed(fls[i].id)
		done, err := cmd.Int()
		switch {
		case err != nil:
			e.redisFailed(ctx, "fill", err)
			answers[i].before = fls[i].steps
			fls[i].lease = leaseUnknown
		case done == 0:
			answers[i].before = fls[i].steps
			if calls[n].Script != releaseScript {
				e.stats.refusedFills.Add(1)
				e.report.Tell(ctx, e.report.Fail("fill", ErrRefused))
			}
		case calls[n].Script == fillScript:
			e.stats.fills.Add(1)
		}
	}
}

// coverWithStale replaces the errors of a failed load by stale copies, where
// there are any. A Delete takes the copy along, so none outlives its value.
func (e *engine) coverWithStale(ctx context.Context, fls []*flight, answers []answer) {
	var failed []int
	var keyList []string
	for i, a := range answers {
		if a.err != nil && !a.absent && fls[i].in == &e.misses { // nobody waits for a renewal
			failed = append(failed, i)
			keyList = append(keyList, fls[i].key)
		}
	}
	for n, copied := range e.stale(ctx, keyList) {
		if i := failed[n]; copied.found && e.verify(copied.data) == nil {
			e.stats.staleHits.Add(1)
			e.report.Tell(ctx, answers[i].err)
			answers[i] = answer{data: bytesOf(copied.data), before: answers[i].before}
		}
	}
}

// release gives leases back that a failed acquire or fill may have left.
func (e *engine) release(ctx context.Context, fls []*flight) {
	calls := make([]script.Call, len(fls))
	for i, fl := range fls {
		calls[i] = e.releaseCall(fl)
	}
	script.Run(ctx, e.rdb, script.Retried, calls...) // else the lease's TTL ends them
}

// sleep waits for d and says whether ctx outlasted it.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// jitter spreads a pause over 75 to 125 % of it, so that the waiters of a
// fleet do not ask in step.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + mathrand.N(d/2)
}

// redisFailed notes a failure that the loader makes good.
func (e *engine) redisFailed(ctx context.Context, op string, err error) {
	e.report.Tell(ctx, e.report.Redis(ctx, op, err))
}

// undecodable notes a value in Redis that is none, and will be loaded anew.
func (e *engine) undecodable(ctx context.Context, op string, err error) {
	e.stats.undecodable.Add(1)
	e.report.Tell(ctx, e.report.Fail(op, kindOf(err)))
}
