package metrics_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/metrics"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/ratelimit"
	"github.com/convkit/rediskit/session"
)

type note struct {
	Text string `json:"text" redis:"text"`
}

// objects are one object of each package, and their collector.
type objects struct {
	rdb       *redis.Client
	cache     *cache.Cache[note]
	sessions  *session.Store[note]
	limiter   *ratelimit.Limiter
	locks     *lock.Locker
	topic     *pubsub.Topic[note]
	hub       *pubsub.Hub[note]
	collector *metrics.Collector
}

// everything makes one object of each package over s, named after the package.
func everything(t *testing.T, s *redistest.Server) *objects {
	t.Helper()
	o := &objects{rdb: s.Client()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	o.cache, err = cache.New[note](o.rdb, cache.Config{Key: s.Prefix() + ":cache:*", TTL: time.Minute, Name: "cache"})
	must(err)
	o.sessions, err = session.New[note](o.rdb, session.Config{Key: s.Prefix() + ":session:*", TTL: time.Minute, Name: "session"})
	must(err)
	o.limiter, err = ratelimit.New(o.rdb, ratelimit.Config{Key: s.Prefix() + ":limit:*", Name: "limit", DenyCache: 10}, ratelimit.PerMinute(2))
	must(err)
	o.locks, err = lock.New(o.rdb, lock.Config{Key: s.Prefix() + ":lock:*", Name: "lock"})
	must(err)
	o.topic, err = pubsub.NewTopic[note](o.rdb, s.Prefix()+":notes", pubsub.Config{Name: "notes"})
	must(err)
	o.hub, err = o.topic.Listen(t.Context())
	must(err)
	o.collector, err = metrics.NewCollector(o.cache, o.sessions, o.limiter, o.locks, o.topic, o.hub, metrics.Pool("main", o.rdb))
	must(err)
	t.Cleanup(func() {
		must(errors.Join(o.hub.Close(), o.locks.Close(), o.cache.Close()))
	})
	return o
}

func TestTheCollectorShowsWhatAllPackagesCount(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		o, ctx := everything(t, s), t.Context()
		check := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}

		series := len(values(t, o.collector))
		load := func(context.Context, string) (note, error) { return note{"hello"}, nil }
		for range 3 {
			_, err := o.cache.GetOrLoad(ctx, "a", load)
			check(err)
		}
		check(o.sessions.Create(ctx, "a", note{"hello"}))
		_, err := o.sessions.Get(ctx, "a")
		check(err)
		for range 4 { // two are allowed, one is denied, one denied again from memory
			_, err := o.limiter.Allow(ctx, "a")
			check(err)
		}
		held, err := o.locks.Try(ctx, "a")
		check(err)
		if _, err := o.locks.Try(ctx, "a"); !errors.Is(err, lock.ErrHeld) {
			t.Fatal(err)
		}
		sub := o.hub.Subscribe()
		defer sub.Close()
		_, err = o.topic.Publish(ctx, note{"hello"})
		check(err)
		_, err = sub.Next(ctx)
		check(err)

		got := values(t, o.collector)
		if len(got) != series {
			t.Errorf("%d series after the calls, %d before", len(got), series)
		}
		for series, want := range map[string]float64{
			"rediskit_cache_requests_total{cache=cache,result=hit}":                        2,
			"rediskit_cache_requests_total{cache=cache,result=miss}":                       1,
			"rediskit_cache_loads_total{cache=cache}":                                      1,
			"rediskit_cache_fills_total{cache=cache}":                                      1,
			"rediskit_session_operations_total{operation=create,store=session}":            1,
			"rediskit_session_operations_total{operation=get,store=session}":               1,
			"rediskit_session_operations_total{operation=touch,store=session}":             0,
			"rediskit_ratelimit_requests_total{by=redis,limiter=limit,result=allowed}":     2,
			"rediskit_ratelimit_requests_total{by=redis,limiter=limit,result=denied}":      1,
			"rediskit_ratelimit_requests_total{by=deny_cache,limiter=limit,result=denied}": 1,
			"rediskit_lock_acquired_total{locker=lock}":                                    1,
			"rediskit_lock_refused_total{locker=lock}":                                     1,
			"rediskit_lock_holding{locker=lock}":                                           1,
			"rediskit_pubsub_published_total{topic=notes}":                                 1,
			"rediskit_pubsub_received_total{topic=notes}":                                  1,
			"rediskit_pubsub_delivered_total{topic=notes}":                                 1,
			"rediskit_pubsub_subscribers{topic=notes}":                                     1,
			"rediskit_redis_errors_total{name=cache,package=cache}":                        0,
			"rediskit_redis_errors_total{name=notes,package=pubsub}":                       0,
			"rediskit_pool_connections{lane=main,pool=main,state=used}":                    0,
			"rediskit_pool_limit{lane=main,pool=main}":                                     float64(o.rdb.Options().PoolSize),
		} {
			if value, ok := got[series]; !ok || value != want {
				t.Errorf("%s is %v (%v), want %v", series, value, ok, want)
			}
		}
		if got["rediskit_pool_requests_total{lane=main,pool=main,result=hit}"] == 0 {
			t.Error("the pool has counted nothing")
		}

		check(held.Release(ctx))
		check(errors.Join(o.hub.Close(), o.locks.Close(), o.cache.Close(), o.rdb.Close()))
		if got := values(t, o.collector); got["rediskit_lock_released_total{locker=lock}"] != 1 {
			t.Error("what was closed is not collected any more")
		}
	})
}

func TestCollectingSendsNothingToRedis(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		o := everything(t, s)
		values(t, o.collector)
		o.rdb.AddHook(refuse{t})
		values(t, o.collector)
	})
}

// refuse fails the test if a command is sent.
type refuse struct{ t *testing.T }

func (refuse) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r refuse) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		r.t.Errorf("%s was sent", cmd.Name())
		return errors.New("refused")
	}
}

func (r refuse) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(context.Context, []redis.Cmder) error {
		r.t.Error("a pipeline was sent")
		return errors.New("refused")
	}
}

func TestTheCallsOfAGuardedClientAreCollected(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	collector := func() map[string]float64 {
		c, err := metrics.NewCollector(metrics.Pool("main", rdb))
		if err != nil {
			t.Fatal(err)
		}
		return values(t, c)
	}
	if _, ok := collector()["rediskit_pool_calls_limit{pool=main}"]; ok {
		t.Error("a client without a bound has a limit")
	}
	breaker.Guard(rdb, breaker.Config{MaxWaiting: 1})
	for range 2 { // the first stays under way
		_ = breaker.BulkheadOf(rdb).Enter(t.Context())
	}
	got := collector()
	for series, want := range map[string]float64{
		"rediskit_pool_calls{pool=main}":               1,
		"rediskit_pool_calls_limit{pool=main}":         1,
		"rediskit_pool_calls_refused_total{pool=main}": 1,
	} {
		if value, ok := got[series]; !ok || value != want {
			t.Errorf("%s is %v (%v), want %v", series, value, ok, want)
		}
	}
}

func TestTheBreakersOfAClientAreCollected(t *testing.T) {
	t.Parallel()
	proxy := redistest.StartProxy(t, redistest.Mini(t).Addr())
	rdb := redistest.Mini(t).Client(func(o *redis.Options) { o.Addr = proxy.Addr() })
	breaker.Guard(rdb, breaker.Config{MaxWaiting: 100})
	collector, err := metrics.NewCollector(metrics.Pool("main", rdb))
	if err != nil {
		t.Fatal(err)
	}
	want := func(want map[string]float64) {
		t.Helper()
		got := values(t, collector)
		for series, value := range want {
			if got[series] != value {
				t.Errorf("%s is %v, want %v", series, got[series], value)
			}
		}
	}
	want(map[string]float64{"rediskit_pool_breakers{pool=main,state=closed}": 1, "rediskit_pool_breakers_opened{pool=main,reason=unreachable}": 0})
	proxy.Down()
	for range breaker.Threshold {
		rdb.Ping(t.Context())
	}
	want(map[string]float64{
		"rediskit_pool_breakers{pool=main,state=closed}":              0,
		"rediskit_pool_breakers{pool=main,state=open}":                1,
		"rediskit_pool_breakers_opened{pool=main,reason=unreachable}": 1,
	})
}

func TestThePoolsOfAClusterAreCollectedTogether(t *testing.T) {
	t.Parallel()
	rdb := redistest.StartCluster(t, 3).Client(func(o *redis.ClusterOptions) { o.PoolSize, o.PipelinePoolSize = 7, -1 })
	if err := rdb.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		return node.Ping(ctx).Err()
	}); err != nil {
		t.Fatal(err)
	}
	collector, err := metrics.NewCollector(metrics.Pool("main", rdb))
	if err != nil {
		t.Fatal(err)
	}
	got := values(t, collector)
	if idle := got["rediskit_pool_connections{lane=main,pool=main,state=idle}"]; idle < 3 {
		t.Errorf("%v idle connections, want at least one for each primary", idle)
	}
	if limit := got["rediskit_pool_limit{lane=main,pool=main}"]; limit != 7 {
		t.Errorf("the limit is %v, want 7", limit)
	}
	if _, ok := got["rediskit_pool_limit{lane=pipeline,pool=main}"]; ok {
		t.Error("a pool that is not there is collected")
	}
}
