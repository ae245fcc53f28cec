package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/perf/benchfmt"

	"github.com/convkit/rediskit/cache"
)

// stale measures for how long a reader with copies in the process still reads the old
// value, counted from the reply to another client's write.
func stale(name string) contest {
	return contest{name: name, enter: func(a *arena) []contestant {
		writes := a.unlessShort(300)
		c := must(cache.New[string](a.rediskit(), nearConfig(true)))
		a.owns(c)
		ours := func(ctx context.Context) (string, error) { return c.Get(ctx, "stale") }
		theirs := a.rueidis(true)
		get := func(ctx context.Context) (v string, err error) {
			err = theirs.DoCache(ctx, theirs.B().Get().Key("rueidis:stale").Cache(), ttl).DecodeJSON(&v)
			return v, err
		}
		return []contestant{
			{by: "rediskit", round: staleness(a, "conversations:stale:list", writes, ours)},
			{by: "rueidis-cached", round: staleness(a, "rueidis:stale", writes, get)},
		}
	}}
}

func staleness(a *arena, key string, writes int, get read[string]) func(context.Context) ([]benchfmt.Value, error) {
	writer := a.goRedis()
	return func(ctx context.Context) ([]benchfmt.Value, error) {
		took := make([]time.Duration, 0, writes)
		for i := range writes {
			if err := writer.Set(ctx, key, fmt.Sprintf(`"%d"`, i), ttl).Err(); err != nil {
				return nil, err
			}
			written := time.Now()
			for {
				v, err := get(ctx)
				if err != nil {
					return nil, err
				}
				if v == fmt.Sprint(i) {
					break
				}
				runtime.Gosched() // so that the goroutine that receives changes can run
			}
			took = append(took, time.Since(written))
			for range 50 { // until the process keeps it again
				if _, err := get(ctx); err != nil {
					return nil, err
				}
			}
		}
		slices.Sort(took)
		return []benchfmt.Value{
			{Value: float64(took[len(took)/2]), Unit: "p50-ns"},
			{Value: float64(took[len(took)*99/100]), Unit: "p99-ns"},
		}, nil
	}
}
