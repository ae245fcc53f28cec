package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/perf/benchfmt"
)

// throttled reads a cached value from a redis-server that may use a fifth of one CPU. It
// has no contestants on a machine without control groups to limit the server.
func throttled[V any](name string, value V, goroutines int) contest {
	return contest{name: fmt.Sprintf("%s/goroutines=%d", name, goroutines), enter: func(a *arena) []contestant {
		server := must(startServer(a.ctx))
		a.onClose(server.end)
		remove, err := server.limit(0.2)
		if errors.Is(err, errNoQuota) {
			fmt.Fprintf(os.Stderr, " is left out, %v;", err)
			return nil
		}
		check(err)
		a.onClose(func() { server.end(); remove() })
		slow := &arena{ctx: a.ctx, addr: server.addr}
		a.onClose(slow.close)
		slice := 3 * a.slice // several periods of the kernel's quota
		entered := enterReaders(slow, value, remote[V](), nearby[V]("rediskit-near-ReadOnly", "rediskit-near"), inProcess[V]())
		for i, by := range entered {
			entered[i].round = func(ctx context.Context) ([]benchfmt.Value, error) {
				return latencies(ctx, by.call, goroutines, slice)
			}
		}
		return entered
	}}
}

// latencies is like timed, but measures each call.
func latencies(ctx context.Context, call func(context.Context, int) error, goroutines int, slice time.Duration) ([]benchfmt.Value, error) {
	var (
		mu     sync.Mutex
		took   []time.Duration
		failed error
		all    sync.WaitGroup
	)
	began := time.Now()
	for g := range goroutines {
		all.Go(func() {
			var mine []time.Duration
			var err error
			for start := began; err == nil && start.Sub(began) < slice; {
				err = call(ctx, g)
				end := time.Now()
				mine = append(mine, end.Sub(start))
				start = end
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			if failed == nil {
				failed = err
			}
		})
	}
	all.Wait()
	passed := time.Since(began)
	if failed != nil {
		return nil, failed
	}
	slices.Sort(took)
	return []benchfmt.Value{
		{Value: float64(len(took)) / passed.Seconds(), Unit: "reads/s"},
		{Value: float64(took[len(took)*99/100]), Unit: "p99-ns"},
	}, nil
}
