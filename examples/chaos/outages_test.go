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
// to be down, at the 99th percentile of at least enoughDelays calls. What a goroutine that
// only sleeps for as long takes longer, in the same moments, is the machine's delay and is
// taken off.
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
	bare   []time.Duration // without the library
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
		probes := m.probes.Load()
		var loaded atomic.Int64 // a load may outlive its call
		began := time.Now()
		_, err := o.caches[m].GetOrLoad(ctx, m.name, func(context.Context, string) (list, error) {
			from := time.Now()
			time.Sleep(load)
			loaded.Store(int64(time.Since(from)))
			return list{}, nil
		})
		delay := time.Since(began) - time.Duration(loaded.Load())
		if err != nil || !refused(ctx, m) || m.probes.Load() != probes {
			return // it may have asked Redis, or been the caller that pings
		}
		bare := oversleep(load)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.delays, o.bare = append(o.delays, delay), append(o.bare, bare)
	})
}

// oversleep returns how much longer than its sleep another goroutine takes.
func oversleep(d time.Duration) time.Duration {
	slept := make(chan time.Duration)
	began := time.Now()
	go func() {
		from := time.Now()
		time.Sleep(d)
		slept <- time.Since(from)
	}()
	took := <-slept
	return time.Since(began) - took
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
	slices.Sort(o.bare)
	if p99, bare := o.delays[n*99/100], o.bare[n*99/100]; p99-bare > maxDelay {
		rd.violated(quickAnswers, "GetOrLoad took %v more than its loader at the 99th percentile, and a goroutine that sleeps %v", p99, bare)
	}
}

func (o *outages) close() error {
	var errs []error
	for _, c := range o.caches {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
