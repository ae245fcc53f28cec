package cache

import "context"

// missing is what a caller's read did not find, and how to load it.
type missing struct {
	ids  []string // each once
	down bool     // Redis failed the read: do not ask it again
	load loader
}

// maxJoins bounds how often a caller joins a call whose answer it must then refuse,
// because it may be older than the caller. After that it makes a call of its own, beside
// the one that others share. So many late joins in a row are next to impossible.
const maxJoins = 8

// answers brings an answer for each missing id and calls take with it. It returns the
// first error: of ctx, or of take.
func (l *loads) answers(ctx context.Context, m missing, take func(id string, a answer) error) error {
	var first error
	for round := 0; len(m.ids) > 0; round++ {
		joined, steps := l.join(ctx, m, round == maxJoins)
		var again []string
		for i, c := range joined {
			a, err := c.wait(ctx)
			if err != nil {
				return l.report.Fail("get or load", err)
			}
			tooOld := steps[i] >= a.joinedBefore
			if tooOld && (!m.down || !a.unconfirmed) {
				again = append(again, c.id)
				continue
			}
			if err := take(c.id, a); err != nil && first == nil {
				first = err
			}
		}
		m.ids = again
	}
	return first
}

// join joins a call for each missing id, and starts those of which the caller is the
// leader. It returns the calls and the steps at which the caller joined them.
func (l *loads) join(ctx context.Context, m missing, alone bool) (joined []*call, steps []int) {
	joined, steps = make([]*call, len(m.ids)), make([]int, len(m.ids))
	var led []*call
	for i, id := range m.ids {
		leader := true
		if key := l.far.pattern.Key(id); alone {
			joined[i] = l.misses.alone(id, key)
		} else {
			joined[i], steps[i], leader = l.misses.join(id, key)
		}
		if leader {
			led = append(led, joined[i])
		}
	}
	l.stats.shared.Add(uint64(len(joined) - len(led)))
	if len(led) > 0 {
		l.start(ctx, led, m)
	}
	return joined, steps
}

// start runs calls that a caller leads, in the background: they belong to every
// caller that joins them.
func (l *loads) start(ctx context.Context, led []*call, m missing) {
	started := l.life.Go(ctx, func(ctx context.Context) {
		defer func() {
			for _, c := range led { // OnError or a codec panicked or called runtime.Goexit
				if !c.finished() {
					c.finish(answer{err: l.report.Fail("load", ErrLoaderExited), joinedBefore: everyStep})
				}
			}
		}()
		if m.down {
			l.load(ctx, led, m.load)
		} else {
			l.run(ctx, led, m.load)
		}
	})
	if !started {
		for _, c := range led {
			c.finish(answer{err: l.report.Fail("get or load", ErrClosed), joinedBefore: everyStep})
		}
	}
}
