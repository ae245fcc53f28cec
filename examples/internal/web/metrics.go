package web

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/convkit/rediskit/metrics"
)

// Metrics is the route of what Prometheus scrapes: sources, and the process. Its
// registry is its own, so that two services may run in one process.
func Metrics(sources ...metrics.Source) (Route, error) {
	collector, err := metrics.NewCollector(sources...)
	if err != nil {
		return Route{}, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return Route{Method: http.MethodGet, Path: "/metrics", Handle: func(w http.ResponseWriter, r *http.Request) error {
		handler.ServeHTTP(w, r)
		return nil
	}}, nil
}
