package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/pipeline"
	"github.com/convkit/rediskit/internal/redistest"
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
				c    *pipeline.Combiner
			}{{"itself", pipeline.For(rdb, true)}, {"Combiner", pipeline.For(rdb, false)}} {
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
