package cache

import (
	"context"

	"github.com/convkit/rediskit/internal/report"
)

// missing is what a call could not read, and how to load it.
type missing struct {
	ids  []string // each once
	down bool     // Redis failed the read: do not ask it again
	load loader
}

// rounds bounds how often a caller joins a flight whose answer it must then
// refuse, because it may be older than the call. After that it flies alone.
const rounds = 3

// answers brings an answer for each missing id and gives it to take. It
// returns the first error: of ctx, or of take.
func (e *engine) answers(ctx context.Context, m missing, take func(id string, a answer) error) error {
	var first error
	for round := 0; len(m.ids) > 0; round++ {
		flown, steps, led := e.embark(m.ids, round == rounds)
		e.stats.shared.Add(uint64(len(flown) - len(led)))
		e.depart(ctx, led, m)
		var again []string
		for i, fl := range flown {
			a, err := fl.wait(ctx)
			if err != nil {
				return e.report.Fail("get or load", err)
			}
			if inTime := steps[i] < a.before || m.down && a.blind; !inTime {
				again = append(again, fl.id)
				continue
			}
			if err := take(fl.id, a); err != nil && first == nil {
				first = err
			}
		}
		m.ids = again
	}
	return first
}

// embark returns a flight for each id, the step at which the caller joined
// it, and those flights that the caller leads.
func (e *engine) embark(ids []string, alone bool) (flown []*flight, steps []int, led []*flight) {
	flown, steps = make([]*flight, len(ids)), make([]int, len(ids))
	for i, id := range ids {
		leads := true
		if key := e.pattern.Key(id); alone {
			flown[i] = e.misses.alone(id, key)
		} else {
			flown[i], steps[i], leads = e.misses.join(id, key)
		}
		if leads {
			led = append(led, flown[i])
		}
	}
	return flown, steps, led
}

// depart starts the flights that a caller leads.
func (e *engine) depart(ctx context.Context, led []*flight, m missing) {
	if len(led) == 0 {
		return
	}
	started := e.spawn(ctx, func(ctx context.Context) {
		defer func() {
			for _, fl := range led { // unless OnError or a codec called runtime.Goexit
				if !fl.landed() {
					fl.land(answer{err: e.report.Fail("load", ErrLoaderExited), before: forAll})
				}
			}
		}()
		if m.down {
			e.load(ctx, led, m.load)
		} else {
			e.fly(ctx, led, m.load)
		}
	})
	if !started {
		for _, fl := range led {
			fl.land(answer{err: e.report.Fail("get or load", ErrClosed), before: forAll})
		}
	}
}

// missed counts n misses and says whether Redis is down. An error is the end
// of the caller's own ctx.
func (e *engine) missed(ctx context.Context, err error, n int) (down bool, _ error) {
	e.stats.misses.Add(uint64(n))
	if err == nil {
		return false, nil
	}
	if report.End(ctx) != nil {
		return false, e.report.Redis(ctx, "get or load", err)
	}
	e.redisFailed(ctx, "get or load", err)
	return true, nil
}
