package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/convkit/rediskit/internal/near"
	"github.com/convkit/rediskit/internal/tracking"
)

// A local is a bounded map with expiry.
type local interface {
	get(id string) (int, bool)
	put(id string, v int)
}

type nearTable struct{ *near.Table[int] }

func (n nearTable) get(id string) (int, bool) {
	if e := n.Get(id); e != nil {
		return e.Value, true
	}
	return 0, false
}

func (n nearTable) put(id string, v int) {
	n.Put(n.Claim(id, tracking.Forever), v, tracking.Now()+time.Hour)
}

type otterCache struct{ *otter.Cache[string, int] }

func (o otterCache) get(id string) (int, bool) { return o.GetIfPresent(id) }
func (o otterCache) put(id string, v int)      { o.Set(id, v) }

func locals(limit int) map[string]local {
	return map[string]local{
		"near":  nearTable{near.New[int](limit)},
		"otter": otterCache{otter.Must(&otter.Options[string, int]{MaximumSize: limit, ExpiryCalculator: otter.ExpiryWriting[string, int](time.Hour)})},
	}
}

// BenchmarkLocalHit looks up ids that are stored.
func BenchmarkLocalHit(b *testing.B) {
	ids := make([]string, 1024)
	for i := range ids {
		ids[i] = fmt.Sprintf("user_%d", i)
	}
	for name, l := range locals(2048) {
		for i, id := range ids {
			l.put(id, i)
		}
		for _, n := range []int{1, 1024} {
			b.Run(fmt.Sprintf("ids=%d/in=%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					for i := 0; pb.Next(); i++ {
						if _, ok := l.get(ids[i%n]); !ok {
							b.Fatal("miss")
						}
					}
				})
			})
		}
	}
}

// BenchmarkLocalHitRate looks up 100,000 ids with the frequencies of Zipf's law.
func BenchmarkLocalHitRate(b *testing.B) {
	for _, limit := range []int{100, 1000, 10_000, 100_000} {
		for _, s := range []float64{1.01, 1.2} {
			for name, l := range locals(limit) {
				b.Run(fmt.Sprintf("limit=%d/s=%v/in=%s", limit, s, name), func(b *testing.B) {
					rng := rand.New(rand.NewPCG(1, 2))
					zipf := rand.NewZipf(rng, s, 1, 99_999)
					hits, all := 0, 0
					for b.Loop() {
						id := fmt.Sprintf("user_%d", zipf.Uint64())
						if _, ok := l.get(id); ok {
							hits++
						} else {
							l.put(id, 1)
						}
						all++
					}
					b.ReportMetric(math.Round(1e4*float64(hits)/float64(all))/100, "hit%")
				})
			}
		}
	}
}
