package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/perf/benchfmt"
)

// A run runs the contests one after another. In a contest the contestants take turns of
// one short slice each, and another one is first in each round. So the load of the machine
// affects all of them alike. Each turn is one line of the results.
type run struct {
	addr   string
	rounds int
	slice  time.Duration
	short  bool
	record func(name string, n int, values ...benchfmt.Value) error
}

// arena returns a new arena for the server at addr. Its close empties the server.
func (r *run) arena(ctx context.Context, addr string) *arena {
	a := &arena{ctx: ctx, addr: addr, slice: r.slice, short: r.short}
	a.onClose(a.flush)
	return a
}

// contest runs one contest.
func (r *run) contest(ctx context.Context, c contest) error {
	fmt.Fprint(os.Stderr, c.name)
	began := time.Now()
	a := r.arena(ctx, r.addr)
	defer a.close()
	contestants, err := a.enter(c)
	if err != nil {
		return err
	}
	if c.goroutines == nil {
		err = r.alternate(ctx, c.name, contestants, func(by contestant, _ time.Duration) (int, []benchfmt.Value, error) {
			values, err := by.round(ctx)
			return 1, values, err
		})
	}
	for _, goroutines := range c.goroutines {
		name := fmt.Sprintf("%s/goroutines=%d", c.name, goroutines)
		err = r.alternate(ctx, name, contestants, func(by contestant, slice time.Duration) (int, []benchfmt.Value, error) {
			return timed(ctx, by.call, goroutines, slice)
		})
		if err != nil {
			break
		}
	}
	fmt.Fprintf(os.Stderr, " %.1fs\n", time.Since(began).Seconds())
	return err
}

// alternate gives each contestant one turn in each round, after a round that does not
// count.
func (r *run) alternate(ctx context.Context, name string, contestants []contestant, turn func(contestant, time.Duration) (int, []benchfmt.Value, error)) error {
	first := -1
	if r.short {
		first = 0
	}
	for round := first; round < r.rounds; round++ {
		for i := range contestants {
			by := contestants[(i+round+1)%len(contestants)]
			slice := r.slice
			if round < 0 {
				slice /= 4
			}
			n, values, err := turn(by, slice)
			if err == nil && round >= 0 {
				err = r.record(name+"/by="+by.by, n, values...)
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("%s by %s: %w", name, by.by, err)
			}
		}
	}
	return nil
}

// timed makes calls from several goroutines at the same time, for the length of slice. The
// time of an operation is the elapsed time divided by the operations of all goroutines.
func timed(ctx context.Context, call func(context.Context, int) error, goroutines int, slice time.Duration) (int, []benchfmt.Value, error) {
	var (
		all    sync.WaitGroup
		over   atomic.Bool
		total  atomic.Int64
		failed = make(chan error, goroutines)
		before runtime.MemStats
		after  runtime.MemStats
	)
	runtime.GC() // frees what earlier turns have left
	runtime.ReadMemStats(&before)
	began := time.Now()
	time.AfterFunc(slice, func() { over.Store(true) })
	for g := range goroutines {
		all.Go(func() {
			n := 0
			for ; n == 0 || !over.Load(); n++ {
				if err := call(ctx, g); err != nil {
					failed <- err
					return
				}
			}
			total.Add(int64(n))
		})
	}
	all.Wait()
	took := time.Since(began)
	runtime.ReadMemStats(&after)
	select {
	case err := <-failed:
		return 0, nil, err
	default:
	}
	n := float64(total.Load())
	return int(n), []benchfmt.Value{
		{Value: float64(took.Nanoseconds()) / n, Unit: "ns/op"},
		{Value: float64(after.Mallocs-before.Mallocs) / n, Unit: "allocs/op"},
	}, nil
}

// flush empties the server, which belongs to this run.
func (a *arena) flush() {
	rdb := redis.NewClient(&redis.Options{Addr: a.addr, Protocol: 2})
	defer rdb.Close()
	_ = rdb.FlushAll(context.WithoutCancel(a.ctx)).Err()
}
