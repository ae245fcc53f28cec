package metrics

import "github.com/prometheus/client_golang/prometheus"

// A series is one number of a Stats. Series of one name have the same help and differ in
// the values of their labels.
type series[S any] struct {
	name, help string
	kind       prometheus.ValueType
	value      func(S) float64
	labels     []string // pairs of name and value, in addition to those of the source
	nameLabel  string   // replaces the label for the name of the source
}

func counter[S any](name, help string, value func(S) uint64, labels ...string) series[S] {
	return series[S]{
		name: name, help: help, labels: labels, kind: prometheus.CounterValue,
		value: func(s S) float64 { return float64(value(s)) },
	}
}

func gauge[S any](name, help string, value func(S) uint64, labels ...string) series[S] {
	s := counter(name, help, value, labels...)
	s.kind = prometheus.GaugeValue
	return s
}

// redisErrors returns the series that all packages have in common.
func redisErrors[S any](pkg string, value func(S) uint64) series[S] {
	s := counter("rediskit_redis_errors_total", "Round trips that Redis did not answer, or answered with an error.", value, "package", pkg)
	s.nameLabel = "name"
	return s
}

// A reader is a source that reads one Stats for all of its series.
type reader[S any] struct {
	stats  func() S
	series []series[S]
	descs  []*prometheus.Desc
}

// newReader returns a reader of stats. label is the label that has name as its value.
func newReader[S any](stats func() S, all []series[S], label, name string, labels ...string) *reader[S] {
	r := &reader[S]{stats: stats, series: all}
	for _, s := range all {
		constant := prometheus.Labels{}
		if s.nameLabel != "" {
			constant[s.nameLabel] = name
		} else {
			constant[label] = name
		}
		for _, pairs := range [][]string{labels, s.labels} {
			for i := 0; i < len(pairs); i += 2 {
				constant[pairs[i]] = pairs[i+1]
			}
		}
		r.descs = append(r.descs, prometheus.NewDesc(s.name, s.help, nil, constant))
	}
	return r
}

func (r *reader[S]) describe(ch chan<- *prometheus.Desc) {
	for _, desc := range r.descs {
		ch <- desc
	}
}

func (r *reader[S]) collect(ch chan<- prometheus.Metric) { r.send(ch, r.stats()) }

func (r *reader[S]) send(ch chan<- prometheus.Metric, now S) {
	for i, s := range r.series {
		ch <- prometheus.MustNewConstMetric(r.descs[i], s.kind, s.value(now))
	}
}
