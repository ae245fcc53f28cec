package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
)

// maxDelay is how much longer than its loader a GetOrLoad may take while Redis is known
// to be down, at the 99th percentile of at least enoughDelays calls.
const (
	maxDelay     = 2 * time.Millisecond
	enoughDelays = 100
)

// Outages reads lists while the breakers are open. Each member reads a list that no other
// member reads.
type outages struct {
	open   func(m *member) (loader, error)
	timed  bool // check times, which needs a quiet machine
	rd     *round
	caches map[*member]loader

	mu     sync.Mutex
	delays []time.Duration
}

func newOutages(timed bool) *outages {
	return &outages{timed: timed, open: func(m *member) (loader, error) {
		return cache.New[list](m.rdb, cache.Config{Key: "cache:outage:*", TTL: time.Minute})
	}}
}

func (o *outages) start(rd *round) {
	o.rd, o.caches = rd, map[*member]loader{}
	for _, m := range rd.members {
		c, err := o.open(m)
		if err != nil {
			rd.t.Fatal(err)
		}
		o.caches[m] = c
	}
	rd.each(1, time.Millisecond, o.ask)
}

func (o *outages) ask(rng *rand.Rand, m *member) {
	o.rd.call("GetOrLoad", func(ctx context.Context) {
		if !refused(ctx, m) {
			return
		}
		load := time.Duration(rng.Int64N(int64(loadTime)))
		var loaded atomic.Int64 // a load may outlive its call
		began := time.Now()
		_, err := o.caches[m].GetOrLoad(ctx, m.name, func(context.Context, string) (list, error) {
			from := time.Now()
			time.Sleep(load)
			loaded.Store(int64(time.Since(from)))
			return list{}, nil
		})
		delay := time.Since(began) - time.Duration(loaded.Load())
		if err != nil || !refused(ctx, m) {
			return // it may have asked Redis
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		o.delays = append(o.delays, delay)
	})
}

// refused reports whether m's breaker is open.
func refused(ctx context.Context, m *member) bool {
	return errors.Is(m.rdb.Ping(ctx).Err(), rediskit.ErrUnavailable)
}

func (o *outages) works(context.Context, *member) error { return nil }

func (o *outages) check(rd *round) {
	n := len(o.delays)
	if !o.timed || n < enoughDelays {
		return
	}
	rd.checked(quickAnswers, n)
	slices.Sort(o.delays)
	if p99 := o.delays[n*99/100]; p99 > maxDelay {
		rd.violated(quickAnswers, "GetOrLoad took %v more than its loader at the 99th percentile", p99)
	}
}

func (o *outages) close() error {
	var errs []error
	for _, c := range o.caches {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
