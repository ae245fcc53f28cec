package metrics_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/metrics"
)

func ExampleNewCollector() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	titles, err := cache.New[string](rdb, cache.Config{Key: "conversation:*:title", TTL: time.Hour, Name: "titles"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer titles.Close()

	collector, err := metrics.NewCollector(titles, metrics.Pool("main", rdb))
	if err != nil {
		fmt.Println(err)
		return
	}
	registry := prometheus.NewRegistry() // or prometheus.DefaultRegisterer
	registry.MustRegister(collector)

	load := func(context.Context, string) (string, error) { return "Previsão do tempo", nil }
	for range 3 { // a miss, then hits
		_, _ = titles.GetOrLoad(ctx, "c1", load)
	}

	// What a service answers to GET /metrics.
	res := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(res, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	page, _ := io.ReadAll(res.Body)
	for line := range strings.Lines(string(page)) {
		if strings.Contains(line, "rediskit_cache_requests_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// # HELP rediskit_cache_requests_total Reads, by where a value was: in Redis (hit), in the process (local_hit) or nowhere (miss).
	// # TYPE rediskit_cache_requests_total counter
	// rediskit_cache_requests_total{cache="titles",result="hit"} 2
	// rediskit_cache_requests_total{cache="titles",result="local_hit"} 0
	// rediskit_cache_requests_total{cache="titles",result="miss"} 1
}

// server starts an embedded Redis. A service calls rediskit.Connect instead.
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
