package lock_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

// BenchmarkTryRelease compares taking and giving back a lock with what is
// beneath it, by turns, so that both meet the same weather.
func BenchmarkTryRelease(b *testing.B) {
	s := redistest.Real(b)
	rdb, ctx := s.Client(), b.Context()
	k, bare, key := newLockerOn(b, s, rdb), redislock.New(rdb), keyOf(s, "bare")
	warm(b, k)
	var ours, theirs []time.Duration
	for b.Loop() {
		began := time.Now()
		l, err := bare.Obtain(ctx, key, 10*time.Second, nil)
		if err == nil {
			err = l.Release(ctx)
		}
		between := time.Now()
		m, err2 := k.Try(ctx, "ours")
		if err2 == nil {
			err2 = m.Release(ctx)
		}
		if err := errors.Join(err, err2); err != nil {
			b.Fatal(err)
		}
		theirs = append(theirs, between.Sub(began))
		ours = append(ours, time.Since(between))
	}
	b.ReportMetric(0, "ns/op") // of both
	b.ReportMetric(float64(median(theirs).Nanoseconds()), "redislock-ns")
	b.ReportMetric(float64(median(ours).Nanoseconds()), "lock-ns")
	b.ReportMetric(float64(median(ours))/float64(median(theirs)), "ratio")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// waiter waits for a lock as often as it is told to, and prints when it got it.
var waiter = redistest.Child("waiter", func(args []string) {
	rdb := redis.NewClient(&redis.Options{Addr: args[0]})
	defer rdb.Close()
	k, err := lock.New(rdb, lock.Config{Key: args[1], Poll: time.Hour})
	if err != nil {
		panic(err)
	}
	defer k.Close()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		l, err := k.Acquire(context.Background(), "1")
		got := time.Now().UnixNano()
		if err == nil {
			err = l.Release(context.Background())
		}
		fmt.Println(got, err)
	}
})

// BenchmarkHandOver measures from the call of Release to the return of an
// Acquire that waits for it in another process.
func BenchmarkHandOver(b *testing.B) {
	s := redistest.Real(b)
	k := newLocker(b, s)
	child := redistest.Spawn(b, waiter, s.Addr(), s.Prefix()+":*")
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		l := mustTry(b, k, "1")
		child.Send("wait")
		awaitListeners(b, s, "1", 1)
		time.Sleep(5 * time.Millisecond) // it looks once more, then sleeps
		b.StartTimer()
		released := time.Now().UnixNano()
		mustRelease(b, l)
		var got int64
		if _, err := fmt.Sscan(child.Line(), &got); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Duration(got-released))
	}
	b.ReportMetric(0, "ns/op") // with the pipe to the child in it
	b.ReportMetric(float64(median(took).Microseconds()), "µs/median")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/p99")
}

// BenchmarkIdleWaiters measures what a hundred waiters of one lock, each in a
// Locker of its own as in a process of its own, cost Redis.
func BenchmarkIdleWaiters(b *testing.B) {
	server := redistest.Start(b, "--maxclients", "10000")
	const waiters = 100
	rdb := server.Client()
	newLocker := func() *lock.Locker {
		k, err := lock.New(server.Client(), lock.Config{Key: "lock:*"})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { k.Close() })
		return k
	}
	mustTry(b, newLocker(), "1")
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	for range waiters {
		k := newLocker()
		all.Go(func() { _, _ = k.Acquire(ctx, "1") })
	}
	time.Sleep(time.Second)
	for b.Loop() {
		before := rdb.InfoMap(ctx, "stats").Item("Stats", "total_commands_processed")
		began := time.Now()
		time.Sleep(3 * time.Second)
		after := rdb.InfoMap(ctx, "stats").Item("Stats", "total_commands_processed")
		var n, m float64
		_, _ = fmt.Sscan(before, &n)
		_, _ = fmt.Sscan(after, &m)
		b.ReportMetric((m-n)/time.Since(began).Seconds()/waiters, "commands/s/waiter")
	}
	cancel()
	all.Wait()
}
