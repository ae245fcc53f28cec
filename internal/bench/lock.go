package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"golang.org/x/perf/benchfmt"

	"github.com/convkit/rediskit/lock"
)

const lockTTL = 10 * time.Second

// An unlock releases a lock.
type unlock func(context.Context) error

// A locker takes locks for one process: try at once or not at all, wait when the lock is
// free.
type locker struct {
	try, wait func(ctx context.Context, id string) (unlock, error)
}

// lockers are the lock libraries. open makes a locker with a client of its own. Each waits
// as its documentation shows: redislock polls every 100 ms, as in its README; redsync polls
// after 50 to 250 ms, as by default.
var lockers = []struct {
	by   string
	open func(*arena) locker
}{
	{"rediskit", rediskitLocks},
	{"redislock", redislocks},
	{"redsync", redsyncs},
}

func rediskitLocks(a *arena) locker {
	k := must(lock.New(a.rediskit(), lock.Config{Key: "lock:*", TTL: lockTTL}))
	a.owns(k)
	by := func(take func(context.Context, string) (*lock.Lock, error)) func(context.Context, string) (unlock, error) {
		return func(ctx context.Context, id string) (unlock, error) {
			l, err := take(ctx, id)
			if err != nil {
				return nil, err
			}
			return l.Release, nil
		}
	}
	return locker{try: by(k.Try), wait: by(k.Acquire)}
}

func redislocks(a *arena) locker {
	k := redislock.New(a.goRedis())
	by := func(retry redislock.RetryStrategy) func(context.Context, string) (unlock, error) {
		return func(ctx context.Context, id string) (unlock, error) {
			l, err := k.Obtain(ctx, "redislock:"+id, lockTTL, &redislock.Options{RetryStrategy: retry})
			if err != nil {
				return nil, err
			}
			return l.Release, nil
		}
	}
	return locker{try: by(redislock.NoRetry()), wait: by(redislock.LinearBackoff(100 * time.Millisecond))}
}

func redsyncs(a *arena) locker {
	k := redsync.New(goredis.NewPool(a.goRedis()))
	by := func(take func(*redsync.Mutex, context.Context) error) func(context.Context, string) (unlock, error) {
		return func(ctx context.Context, id string) (unlock, error) {
			m := k.NewMutex("redsync:"+id, redsync.WithExpiry(lockTTL), redsync.WithTries(math.MaxInt))
			if err := take(m, ctx); err != nil {
				return nil, err
			}
			return func(ctx context.Context) error {
				_, err := m.UnlockContext(ctx)
				return err
			}, nil
		}
	}
	return locker{try: by((*redsync.Mutex).TryLockContext), wait: by((*redsync.Mutex).LockContext)}
}

// tries takes and releases a free lock. Each goroutine has a lock of its own.
func tries(name string) contest {
	return contest{name: name, goroutines: levels, enter: func(a *arena) []contestant {
		var entered []contestant
		for _, l := range lockers {
			locks := l.open(a)
			entered = append(entered, contestant{by: l.by, call: func(ctx context.Context, g int) error {
				release, err := locks.try(ctx, strconv.Itoa(g))
				if err != nil {
					return err
				}
				return release(ctx)
			}})
		}
		return entered
	}}
}

// handOvers measures the time from the call of a release until the wait of another locker
// for that lock returns. Each locker has a client of its own, as in another process.
func handOvers(name string) contest {
	return contest{name: name, enter: func(a *arena) []contestant {
		var entered []contestant
		for _, l := range lockers {
			holder, waiter := l.open(a), l.open(a)
			entered = append(entered, contestant{by: l.by, round: func(ctx context.Context) ([]benchfmt.Value, error) {
				took := make([]time.Duration, a.unlessShort(5))
				for i := range took {
					var err error
					if took[i], err = handOver(ctx, holder, waiter); err != nil {
						return nil, err
					}
				}
				slices.Sort(took)
				return []benchfmt.Value{{Value: float64(took[len(took)/2]), Unit: "ns/op"}}, nil
			}})
		}
		return entered
	}}
}

func handOver(ctx context.Context, holder, waiter locker) (time.Duration, error) {
	release, err := holder.try(ctx, "1")
	if err != nil {
		return 0, err
	}
	var got time.Time
	waited := make(chan error)
	go func() {
		releaseAgain, err := waiter.wait(ctx, "1")
		got = time.Now()
		if err == nil {
			err = releaseAgain(ctx)
		}
		waited <- err
	}()
	time.Sleep(20*time.Millisecond + rand.N(100*time.Millisecond)) // the waiter now waits, at a random point between two polls
	began := time.Now()
	err = errors.Join(release(ctx), <-waited)
	return got.Sub(began), err
}
