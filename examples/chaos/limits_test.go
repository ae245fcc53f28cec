package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/convkit/rediskit/ratelimit"
)

// limiter is what the model needs of a Limiter.
type limiter interface {
	Allow(ctx context.Context, id string) (ratelimit.Result, error)
}

// The parameters of each policy.
const (
	limitN   = 40
	limitPer = time.Second
	burst    = 10
)

// limitKinds are the policies, each with a limiter of its own.
var limitKinds = []struct {
	name   string
	policy ratelimit.Policy
	check  func([]admission) (excess string)
}{
	{"fixed", ratelimit.FixedWindow(limitN, limitPer), sameNumberTwice},
	{"sliding", ratelimit.SlidingWindow(limitN, limitPer), func(all []admission) string {
		return moreThan(all, limitPer, limitN)
	}},
	{"gcra", ratelimit.GCRA(limitN, limitPer, burst), func(all []admission) string {
		return moreThan(all, limitPer, limitN+burst)
	}},
}

// An admission is a request that Redis allowed.
type admission struct {
	sent, got time.Time
	remaining int
	resets    time.Duration
}

// Limits sends more requests from all members than their limits allow.
type limits struct {
	open     func(m *member, key string, p ratelimit.Policy) (limiter, error)
	rd       *round
	limiters map[*member][]limiter
	mu       sync.Mutex
	admitted [][]admission
}

func newLimits() *limits {
	return &limits{open: func(m *member, key string, p ratelimit.Policy) (limiter, error) {
		return ratelimit.New(m.rdb, ratelimit.Config{Key: key, WhenDown: ratelimit.FailClosed}, p)
	}}
}

func (l *limits) start(rd *round) {
	l.rd, l.limiters, l.admitted = rd, map[*member][]limiter{}, make([][]admission, len(limitKinds))
	for _, m := range rd.members {
		for _, kind := range limitKinds {
			limiter, err := l.open(m, "rate_limit:"+kind.name+":*", kind.policy)
			if err != nil {
				rd.t.Fatal(err)
			}
			l.limiters[m] = append(l.limiters[m], limiter)
		}
	}
	rd.each(4, 4*time.Millisecond, func(rng *rand.Rand, m *member) { l.ask(m, rng.IntN(len(limitKinds))) })
}

func (l *limits) ask(m *member, kind int) {
	l.rd.call("Allow", func(ctx context.Context) {
		sent := time.Now()
		res, err := l.limiters[m][kind].Allow(ctx, "user_1")
		if err != nil || res.Degraded || !res.Allowed {
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.admitted[kind] = append(l.admitted[kind], admission{sent, time.Now(), res.Remaining, res.ResetAfter})
	})
}

func (l *limits) works(ctx context.Context, m *member) error {
	for i, limiter := range l.limiters[m] {
		res, err := limiter.Allow(ctx, fmt.Sprint("works ", m.name, rand.Uint64()))
		if err != nil {
			return err
		}
		if res.Degraded || !res.Allowed {
			return fmt.Errorf("%s does not decide: %w", limitKinds[i].name, res.Err)
		}
	}
	return nil
}

func (l *limits) check(rd *round) {
	for i, kind := range limitKinds {
		var before, after []admission // a loss of the counts
		for _, a := range l.admitted[i] {
			switch {
			case !rd.window.mayLose() || rd.window.quiet(a.sent, a.got) && a.got.Before(rd.window.from):
				before = append(before, a)
			case rd.window.quiet(a.sent, a.got):
				after = append(after, a)
			}
		}
		for _, all := range [][]admission{before, after} {
			rd.checked(keptLimits, len(all))
			if excess := kind.check(all); excess != "" {
				rd.violated(keptLimits, "%s: %s", kind.name, excess)
			}
		}
	}
}

func (l *limits) close() error { return nil }

// sameNumberTwice looks for two requests that got the same number in one window. In a
// window each request has its own value of Remaining, and all have the same end.
func sameNumberTwice(all []admission) string {
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.remaining != b.remaining || a.got.Sub(a.sent) > limitPer/4 || b.got.Sub(b.sent) > limitPer/4 {
				continue
			}
			first, last := a.sent.Add(a.resets), a.got.Add(a.resets)
			if b.got.Add(b.resets).After(first) && b.sent.Add(b.resets).Before(last) {
				return fmt.Sprintf("two requests of a window were allowed with %d remaining", a.remaining)
			}
		}
	}
	return ""
}

// moreThan looks for a span of time that completely contains more than n requests.
func moreThan(all []admission, span time.Duration, n int) string {
	slices.SortFunc(all, func(a, b admission) int { return a.sent.Compare(b.sent) })
	for i, first := range all {
		within := 0
		for _, a := range all[i:] {
			if a.got.Sub(first.sent) < span {
				within++
			}
		}
		if within > n {
			return fmt.Sprintf("%d requests within %v", within, span)
		}
	}
	return ""
}
