package metrics_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/metrics"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// A named source has a name of its own.
type named[S any] struct{ name string }

func (n named[S]) Name() string { return n.name }
func (n named[S]) Stats() (s S) { return s }

// A stranger has a name and no Stats.
type stranger struct{}

func (stranger) Name() string { return "x" }

// A wrapped client has none of the methods that return its limits.
type wrapped struct{ redis.UniversalClient }

func TestNewCollectorRefusesInvalidSourcesAndNamesThem(t *testing.T) {
	t.Parallel()
	rdb, stop := server()
	t.Cleanup(stop)
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": rdb.Options().Addr}})
	t.Cleanup(func() { ring.Close() })
	good := named[cache.Stats]{"good"}
	for what, test := range map[string]struct {
		sources []metrics.Source
		says    string
	}{
		"none":              {nil, "needs a source"},
		"nil":               {[]metrics.Source{good, nil}, "source 2 of 2 is nil"},
		"nil cache":         {[]metrics.Source{(*cache.Cache[int])(nil), good}, "source 1 of 2 is nil"},
		"nil locker":        {[]metrics.Source{(*lock.Locker)(nil)}, "source 1 of 1 is nil"},
		"stranger":          {[]metrics.Source{stranger{}}, "metrics_test.stranger"},
		"no UTF-8":          {[]metrics.Source{named[cache.Stats]{"\xff:*"}}, "set the Name"},
		"no name":           {[]metrics.Source{metrics.Pool("", rdb)}, "without a name"},
		"the same twice":    {[]metrics.Source{good, good}, `the cache "good"`},
		"two of one name":   {[]metrics.Source{named[lock.Stats]{"a"}, good, named[lock.Stats]{"a"}}, `the locker "a"`},
		"two pools":         {[]metrics.Source{metrics.Pool("main", rdb), metrics.Pool("main", rdb)}, `the pool "main"`},
		"pool of nil":       {[]metrics.Source{metrics.Pool("main", nil)}, "rediskit.Connect"},
		"pool of no client": {[]metrics.Source{metrics.Pool("main", (*redis.Client)(nil))}, "rediskit.Connect"},
		"pool of a ring":    {[]metrics.Source{metrics.Pool("main", ring)}, "Ring"},
		"pool of a wrapper": {[]metrics.Source{metrics.Pool("main", wrapped{rdb})}, "limits"},
	} {
		c, err := metrics.NewCollector(test.sources...)
		if err == nil || c != nil || !strings.HasPrefix(err.Error(), "metrics: ") || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: the error is %v, want one that says %q", what, err, test.says)
		}
	}
}

func TestOneNameMayServeSeveralKinds(t *testing.T) {
	t.Parallel()
	all(t) // where everything is named x
}

func TestCollectorsShareARegistryUnlessTheirSeriesAreTheSame(t *testing.T) {
	t.Parallel()
	collector := func(name string) *metrics.Collector {
		c, err := metrics.NewCollector(named[cache.Stats]{name})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(collector("a")); err != nil {
		t.Error(err)
	}
	if err := registry.Register(collector("b")); err != nil {
		t.Error("another cache:", err)
	}
	if err := registry.Register(collector("a")); err == nil {
		t.Error("a cache of the same name was registered a second time")
	}
	apart := prometheus.WrapRegistererWith(prometheus.Labels{"part": "2"}, prometheus.NewRegistry())
	if err := apart.Register(collector("a")); err != nil {
		t.Error(err)
	}
}

func TestCollectingIsSafeWhileObjectsCount(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	used := everything(t, s)
	registry := prometheus.NewRegistry()
	registry.MustRegister(used.collector)
	ctx, cancel := context.WithCancel(t.Context())
	var working, scraping sync.WaitGroup
	for range 4 {
		working.Go(func() {
			for ctx.Err() == nil {
				_, _ = used.cache.Get(ctx, "a")
				_, _ = used.limiter.Allow(ctx, "a")
			}
		})
	}
	for range 4 {
		scraping.Go(func() {
			for range 50 {
				if _, err := registry.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	scraping.Wait()
	cancel()
	working.Wait()
}
