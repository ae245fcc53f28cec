package metrics_test

import (
	"reflect"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/metrics"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/ratelimit"
	"github.com/convkit/rediskit/session"
)

// A fake has the Stats of one of the packages, and one name for all.
type fake[S any] struct{ stats S }

func (f fake[S]) Name() string { return "x" }
func (f fake[S]) Stats() S     { return f.stats }

// distinct returns a fake whose numbers are 1, 2 and so on, and how many there are.
func distinct[S any](t *testing.T) (metrics.Source, int) {
	t.Helper()
	var f fake[S]
	fields := reflect.ValueOf(&f.stats).Elem()
	for i := range fields.NumField() {
		switch field := fields.Field(i); field.Kind() {
		case reflect.Uint64:
			field.SetUint(uint64(i + 1))
		case reflect.Int:
			field.SetInt(int64(i + 1))
		default:
			t.Fatalf("%s of %T is no number", fields.Type().Field(i).Name, f.stats)
		}
	}
	return f, fields.NumField()
}

func TestEveryNumberOfEveryStatsIsExactlyOneSeries(t *testing.T) {
	t.Parallel()
	everyNumber[cache.Stats](t)
	everyNumber[session.Stats](t)
	everyNumber[ratelimit.Stats](t)
	everyNumber[lock.Stats](t)
	everyNumber[pubsub.TopicStats](t)
	everyNumber[pubsub.Stats](t)
}

func everyNumber[S any](t *testing.T) {
	t.Helper()
	from, n := distinct[S](t)
	collector, err := metrics.NewCollector(from)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[int]int)
	for _, value := range values(t, collector) {
		seen[int(value)]++
	}
	for i := 1; i <= n; i++ {
		if seen[i] != 1 {
			t.Errorf("%T: %s is %d series, want one", *new(S), reflect.TypeFor[S]().Field(i-1).Name, seen[i])
		}
	}
	if len(seen) != n {
		t.Errorf("%T: %d series, want %d", *new(S), len(seen), n)
	}
}

// all is a collector of one source of each kind.
func all(t *testing.T) *metrics.Collector {
	t.Helper()
	rdb, stop := server()
	t.Cleanup(stop)
	collector, err := metrics.NewCollector(
		fake[cache.Stats]{}, fake[session.Stats]{}, fake[ratelimit.Stats]{}, fake[lock.Stats]{},
		fake[pubsub.TopicStats]{}, fake[pubsub.Stats]{}, metrics.Pool("x", rdb),
	)
	if err != nil {
		t.Fatal(err)
	}
	return collector
}

func TestNamesAndUnitsFollowPrometheusConventions(t *testing.T) {
	t.Parallel()
	problems, err := testutil.CollectAndLint(all(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestEveryCollectedSeriesWasDescribed(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(all(t))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetHelp() == "" {
			t.Errorf("%s has no help", family.GetName())
		}
	}
}

// values gathers what collector has, by series.
func values(t *testing.T, collector prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(collector); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName() + "{"
			for i, label := range m.GetLabel() {
				if i > 0 {
					name += ","
				}
				name += label.GetName() + "=" + label.GetValue()
			}
			got[name+"}"] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return got
}
