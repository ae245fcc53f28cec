package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// A Collector is a prometheus.Collector of the sources that it was made of.
type Collector struct{ sources []source }

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a Collector of sources, to be registered once. It does no
// I/O, and neither does collecting.
//
// It fails if there is no source, if one is nil or of a type that [Source] does not
// list, and if two have the same series because they are of one kind and have one
// name. Where two Collectors have the same series, Register fails. Objects that are
// meant to share a name, such as two Hubs of one Topic, go into Collectors of their
// own, each registered with [prometheus.WrapRegistererWith] and another label.
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
			return nil, fmt.Errorf("metrics: NewCollector: two sources are the %s %q; pass each once, and set the Name of those that are not one", id.kind, id.name)
		}
		seen[id] = true
		c.sources = append(c.sources, s)
	}
	return c, nil
}

// Describe is for the registry.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, s := range c.sources {
		s.describe(ch)
	}
}

// Collect is for the registry.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.sources {
		s.collect(ch)
	}
}
