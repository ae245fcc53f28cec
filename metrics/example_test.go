package metrics_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/metrics"
)

// One Collector shows what all objects of a service count. A label has the name of
// each.
func ExampleNewCollector() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()

	titles, err := cache.New[string](rdb, cache.Config{Key: "conversation:*:title", TTL: time.Hour, Name: "titles"})
	if err != nil {
		panic(err)
	}
	defer titles.Close()
	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", Name: "conversations"})
	if err != nil {
		panic(err)
	}
	defer locks.Close()

	collector, err := metrics.NewCollector(titles, locks, metrics.Pool("main", rdb))
	if err != nil {
		panic(err)
	}
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	registry.MustRegister(collector)
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})

	load := func(context.Context, string) (string, error) { return "Previsão do tempo", nil }
	for range 3 { // a miss, then hits
		_, _ = titles.GetOrLoad(ctx, "c1", load)
	}
	_ = locks.Do(ctx, "c1", func(context.Context, *lock.Lock) error { return nil })

	page := httptest.NewRecorder()
	handler.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "rediskit_cache_requests_total") || strings.HasPrefix(line, "rediskit_lock_acquired_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// rediskit_cache_requests_total{cache="titles",result="hit"} 2
	// rediskit_cache_requests_total{cache="titles",result="local_hit"} 0
	// rediskit_cache_requests_total{cache="titles",result="miss"} 1
	// rediskit_lock_acquired_total{locker="conversations"} 1
}

// server starts a Redis inside this process and connects to it. A service only calls
// rediskit.Connect.
func server() (*redis.Client, func()) {
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		panic(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	return rdb, func() {
		rdb.Close()
		mini.Close()
	}
}
