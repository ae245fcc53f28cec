package bench

import (
	"context"
	"testing"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/ulule/limiter/v3"
	limiterredis "github.com/ulule/limiter/v3/drivers/store/redis"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// BenchmarkAllow asks for one of a limit that is never reached, from two
// goroutines, over one client each.
func BenchmarkAllow(b *testing.B) {
	const n = 1e9
	s := redistest.Real(b)
	ctx := context.Background()

	ours := func(p ratelimit.Policy) func() error {
		l, err := ratelimit.New(s.Client(), ratelimit.Config{Key: s.Prefix() + ":*"}, p)
		if err != nil {
			b.Fatal(err)
		}
		return func() error {
			res, err := l.Allow(ctx, "id")
			if err == nil {
				err = res.Err
			}
			return err
		}
	}
	store, err := limiterredis.NewStoreWithOptions(s.Client(), limiter.StoreOptions{Prefix: s.Prefix() + ":ulule"})
	if err != nil {
		b.Fatal(err)
	}
	ulule := limiter.New(store, limiter.Rate{Period: time.Hour, Limit: n})
	rate := redis_rate.NewLimiter(s.Client())
	plain := s.Client()

	for _, bm := range []struct {
		by    string
		allow func() error
	}{
		{"rediskit-fixed", ours(ratelimit.PerHour(n))},
		{"rediskit-sliding", ours(ratelimit.SlidingWindow(n, time.Hour))},
		{"rediskit-gcra", ours(ratelimit.GCRA(1e4, time.Second, 1e9))},
		{"ulule", func() error { _, err := ulule.Get(ctx, "id"); return err }},
		{"redis_rate", func() error {
			_, err := rate.Allow(ctx, s.Prefix(), redis_rate.Limit{Rate: 1e4, Period: time.Second, Burst: n})
			return err
		}},
		{"INCR", func() error { return plain.Incr(ctx, s.Prefix()+":incr").Err() }},
	} {
		b.Run("by="+bm.by, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := bm.allow(); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
