package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// A Collector is a prometheus.Collector for its sources. Make it with NewCollector.
type Collector struct{ sources []source }

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a Collector for sources. Register it once. Neither NewCollector
// nor a scrape does I/O.
//
// It fails if there is no source, if a source is nil or of a type that [Source] does
// not list, and if two sources have the same series: they are of one kind and have one
// name. If two Collectors have the same series, Register fails. Objects that need the
// same name, such as two Hubs of one Topic, go into separate Collectors. Register each
// of these with [prometheus.WrapRegistererWith] and another label.
func NewCollector(sources ...Source) (*Collector, error) {
	if len(sources) == 0 {
		return nil, errors.New("metrics: NewCollector needs a source, such as a cache or metrics.Pool")
	}
	c := &Collector{}
	seen := make(map[identity]bool)
	for i, from := range sources {
		s, id, err := newSource(from)
		if err != nil {
			return nil, fmt.Errorf("metrics: NewCollector: source %d of %d %w", i+1, len(sources), err)
		}
		if seen[id] {
			return nil, fmt.Errorf("metrics: NewCollector: two sources are the %s %q; pass each source once, and give different ones different Names", id.kind, id.name)
		}
		seen[id] = true
		c.sources = append(c.sources, s)
	}
	return c, nil
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, s := range c.sources {
		s.describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.sources {
		s.collect(ch)
	}
}
