package web

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/convkit/rediskit/metrics"
)

// Metrics returns the route that Prometheus scrapes. It shows sources, the Go runtime
// and the process. Each call makes a registry of its own, so that two services can run
// in one process.
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
