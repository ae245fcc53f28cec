package sender_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

// BenchmarkGet compares GETs by themselves with combined ones. Run it with
// -count 10 and give benchstat -col /by of the output.
func BenchmarkGet(b *testing.B) {
	s := redistest.Real(b)
	rdb, ctx := s.Client(), context.Background()
	for _, size := range []int{1 << 10, 19 << 10} {
		key := fmt.Sprint(s.Prefix(), size)
		if err := rdb.Set(ctx, key, strings.Repeat("x", size), time.Hour).Err(); err != nil {
			b.Fatal(err)
		}
		for _, goroutines := range []int{2, 16, 256} {
			for _, by := range []struct {
				name string
				c    *sender.Sender
			}{{"itself", sender.New(rdb, true)}, {"lane", sender.New(rdb, false)}} {
				b.Run(fmt.Sprintf("bytes=%d/goroutines=%d/by=%s", size, goroutines, by.name), func(b *testing.B) {
					b.ReportAllocs()
					b.SetParallelism(goroutines / 2) // times GOMAXPROCS
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if v, err := get(ctx, by.c, key); err != nil || len(v) != size {
								b.Error(len(v), err)
								return
							}
						}
					})
				})
			}
		}
	}
}

// BenchmarkCharge shows what it would cost if charges waited for a replica: WAIT takes them
// out of the lane. Run it with -count 10 and give benchstat -col /by of the output.
func BenchmarkCharge(b *testing.B) {
	primary := redistest.Start(b)
	redistest.StartReplica(b, primary)
	ctx, c := b.Context(), sender.New(primary.Client(func(o *redis.Options) { o.PoolSize = 64 }), false)
	one := sender.Replicas{N: 1, Timeout: time.Second}
	for _, goroutines := range []int{2, 64} {
		for _, by := range []string{"lane", "replica"} {
			b.Run(fmt.Sprintf("goroutines=%d/by=%s", goroutines, by), func(b *testing.B) {
				b.SetParallelism(goroutines / 2) // times GOMAXPROCS
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						cmds, class := []redis.Cmder{redis.NewIntCmd(ctx, "incr", "charge")}, sender.Charge
						if by == "replica" {
							cmds, class = append(cmds, one.Wait(ctx)...), sender.Pinned
						}
						if err := c.Do(ctx, class, "charge", cmds...); err != nil || cmds[0].Err() != nil {
							b.Error(err, cmds[0].Err())
							return
						}
					}
				})
			})
		}
	}
}

// BenchmarkSmallBesideBulk reads a small value while 64 readers of 20 KB keep
// the same Sender busy, and reports the median: large replies must not stall
// small ones.
func BenchmarkSmallBesideBulk(b *testing.B) {
	s := redistest.Real(b)
	rdb, ctx := s.Client(), context.Background()
	small, bulk := s.Prefix()+":small", s.Prefix()+":bulk"
	for key, size := range map[string]int{small: 100, bulk: 20 << 10} {
		if err := rdb.Set(ctx, key, strings.Repeat("x", size), time.Hour).Err(); err != nil {
			b.Fatal(err)
		}
	}
	for _, by := range []struct {
		name   string
		direct bool
	}{{"itself", true}, {"lane", false}} {
		b.Run("by="+by.name, func(b *testing.B) {
			c := sender.New(rdb, by.direct)
			var readers sync.WaitGroup
			var stop atomic.Bool
			for range 64 {
				readers.Go(func() {
					for !stop.Load() {
						if _, err := get(ctx, c, bulk); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			var times []time.Duration
			for b.Loop() {
				start := time.Now()
				if _, err := get(ctx, c, small); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start))
			}
			stop.Store(true)
			readers.Wait()
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(times[len(times)*99/100].Microseconds()), "p99-µs")
		})
	}
}
