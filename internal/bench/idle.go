package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/perf/benchfmt"
)

// idleWaiters counts the commands that a hundred waiters for one lock send while the lock
// is held. Each waiter has a client of its own.
func idleWaiters(name string) contest {
	return contest{name: name, enter: func(a *arena) []contestant {
		waiters := a.unlessShort(100)
		settle, watch := 500*time.Millisecond, 1500*time.Millisecond
		if a.short {
			settle, watch = settle/10, watch/10
		}
		rdb := a.goRedis()
		var entered []contestant
		for _, l := range lockers {
			holder := l.open(a)
			waiting := make([]locker, waiters)
			for i := range waiting {
				waiting[i] = l.open(a)
			}
			entered = append(entered, contestant{by: l.by, round: func(ctx context.Context) ([]benchfmt.Value, error) {
				release, err := holder.try(ctx, "1")
				if err != nil {
					return nil, err
				}
				waits, stop := context.WithCancel(ctx)
				var all sync.WaitGroup
				for _, w := range waiting {
					all.Go(func() { _, _ = w.wait(waits, "1") })
				}
				time.Sleep(settle)
				before, err := item(ctx, rdb, "stats", "total_commands_processed")
				if err == nil {
					time.Sleep(watch)
				}
				after, err2 := item(ctx, rdb, "stats", "total_commands_processed")
				stop()
				all.Wait()
				for _, err := range []error{err, err2, release(ctx)} {
					if err != nil {
						return nil, fmt.Errorf("idle waiters: %w", err)
					}
				}
				return []benchfmt.Value{{
					Value: (after - before) / watch.Seconds() / float64(waiters), Unit: "commands/waiter-s",
				}}, nil
			}})
		}
		return entered
	}}
}
