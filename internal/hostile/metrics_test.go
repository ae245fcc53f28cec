package hostile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/convkit/rediskit/metrics"
)

// metrics returns what Prometheus scrapes of the kit.
func (k *kit) metrics(t *testing.T) string {
	t.Helper()
	sources := []metrics.Source{k.sessions, k.locks, k.topic, metrics.Pool("main", k.rdb)}
	for _, c := range k.caches {
		sources = append(sources, c)
	}
	for _, l := range k.limiters {
		sources = append(sources, l)
	}
	return scrape(t, sources...)
}

// scrape returns what Prometheus scrapes of sources.
func scrape(t *testing.T, sources ...metrics.Source) string {
	t.Helper()
	collector, err := metrics.NewCollector(sources...)
	must(t, err)
	registry := prometheus.NewPedanticRegistry()
	must(t, registry.Register(collector))
	families, err := registry.Gather()
	must(t, err)
	text := fmt.Sprint(families)
	if !strings.Contains(text, "rediskit_") {
		t.Errorf("scraped: %s", text)
	}
	return text
}
