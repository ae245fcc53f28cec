package cache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestRefreshAheadRenewsInTheBackgroundOncePerFleet(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		ahead := func(cfg *cache.Config) { cfg.TTL, cfg.RefreshAhead = 5*time.Minute, time.Minute }
		here, there, src := newCache[string](t, s, ahead), newCache[string](t, s, ahead), newSource("old")
		want(t, get(t, here, src, "1"), "old")
		src.set("new")
		time.Sleep(3 * time.Minute)
		want(t, get(t, here, src, "1"), "old")
		synctest.Wait()
		if src.count() != 1 {
			t.Fatal("renewed too early")
		}
		time.Sleep(70 * time.Second) // 50 s are left
		slow := src.holdNext()
		for range 3 {
			want(t, get(t, here, src, "1"), "old") // none of them waits
			want(t, get(t, there, src, "1"), "old")
		}
		synctest.Wait()
		close(slow.open)
		synctest.Wait()
		if src.count() != 2 {
			t.Errorf("%d loads, want one renewal", src.count())
		}
		want(t, get(t, there, src, "1"), "new")
		if ttl := s.Client().PTTL(t.Context(), keyOf(s, "1")).Val(); ttl != 5*time.Minute {
			t.Errorf("the new value has %v to live, want 5m", ttl)
		}
		if here.Stats().Refreshes+there.Stats().Refreshes != 1 {
			t.Errorf("here %+v, there %+v", here.Stats(), there.Stats())
		}
	})
}

func TestARenewalDoesNotOverwriteAChangeMadeMeanwhile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		meanwhile func(ctx context.Context, c *cache.Cache[string], s *redistest.Server) error
		left      string
	}{
		"another program: SETEX": {func(ctx context.Context, _ *cache.Cache[string], s *redistest.Server) error {
			return s.Client().SetEx(ctx, keyOf(s, "1"), `"newer"`, time.Minute).Err()
		}, `"newer"`},
		"another program: SETEX with less to live": {func(ctx context.Context, _ *cache.Cache[string], s *redistest.Server) error {
			return s.Client().SetEx(ctx, keyOf(s, "1"), `"newer"`, 10*time.Second).Err()
		}, `"newer"`},
		"another program: SET of the same bytes": {func(ctx context.Context, _ *cache.Cache[string], s *redistest.Server) error {
			return s.Client().Set(ctx, keyOf(s, "1"), `"old"`, 0).Err()
		}, `"old"`},
		"another program: SETEX of the same bytes": {func(ctx context.Context, _ *cache.Cache[string], s *redistest.Server) error {
			return s.Client().SetEx(ctx, keyOf(s, "1"), `"old"`, time.Minute).Err()
		}, `"old"`},
		"another program: DEL": {func(ctx context.Context, _ *cache.Cache[string], s *redistest.Server) error {
			return s.Client().Del(ctx, keyOf(s, "1")).Err()
		}, ""},
		"Set": {func(ctx context.Context, c *cache.Cache[string], _ *redistest.Server) error {
			return c.Set(ctx, "1", "newer")
		}, `"newer"`},
		"Delete": {func(ctx context.Context, c *cache.Cache[string], _ *redistest.Server) error {
			return c.Delete(ctx, "1")
		}, ""},
	} {
		for brought, answer := range map[string]error{"a value": nil, "nothing": cache.ErrNotFound} {
			t.Run(name+" against "+brought, func(t *testing.T) {
				t.Parallel()
				run(t, func(t *testing.T, s *redistest.Server) {
					c := newCache[string](t, s, func(cfg *cache.Config) { cfg.TTL, cfg.RefreshAhead = time.Minute, 30*time.Second })
					src := newSource("renewed")
					load := func(ctx context.Context, id string) (string, error) {
						v, err := src.load(ctx, id)
						return v, errors.Join(err, answer)
					}
					s.Client().Set(t.Context(), keyOf(s, "1"), `"old"`, 20*time.Second)
					slow := src.holdNext()
					if v, err := c.GetOrLoad(t.Context(), "1", load); err != nil || v != "old" {
						t.Errorf("got %q, %v; want the value that is there", v, err)
					}
					<-slow.entered
					if err := tc.meanwhile(t.Context(), c, s); err != nil {
						t.Fatal(err)
					}
					close(slow.open)
					redistest.Eventually(t, func() bool { return c.Stats().RefusedFills == 1 }, "the renewal is refused")
					if got := stored(t, s, "1"); got != tc.left {
						t.Errorf("Redis holds %s, want %s", got, tc.left)
					}
					s.Client().Expire(t.Context(), keyOf(s, "1"), time.Minute)
				})
			})
		}
	}
}

func TestARenewalThatFailsIsReportedAndKeepsTheValue(t *testing.T) {
	t.Parallel()
	broken := errors.New("the database is down")
	for name, stale := range map[string]time.Duration{"without stale copies": 0, "with stale copies": time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(t *testing.T, s *redistest.Server) {
				var reported redistest.Recorder
				c := newCache[string](t, s, onError(&reported), func(cfg *cache.Config) {
					cfg.TTL, cfg.RefreshAhead, cfg.StaleFor = time.Minute, 59999*time.Millisecond, stale
				})
				if err := c.Set(t.Context(), "1", "old"); err != nil {
					t.Fatal(err)
				}
				s.Advance(2 * time.Millisecond)
				v, err := c.GetOrLoad(t.Context(), "1", func(context.Context, string) (string, error) { return "", broken })
				want(t, redistest.Result[string]{Value: v, Err: err}, "old")
				redistest.Eventually(t, func() bool { return len(reported.All()) > 0 }, "OnError receives it")
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				if got := reported.All(); len(got) != 1 || got[0] != broken {
					t.Errorf("OnError received %v, want the loader's error once", got)
				}
				if got := c.Stats(); got.StaleHits != 0 || got.LoadFailures != 1 || stored(t, s, "1") != `"old"` {
					t.Errorf("Redis holds %s, stats = %+v; want the old value and no stale hit", stored(t, s, "1"), got)
				}
			})
		})
	}
}

func TestARenewalOfAValueThatIsGoneStoresAnew(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		warm(t, newCache[string](t, s))
		rdb := s.Client()
		rdb.Set(t.Context(), keyOf(s, "1"), `"old"`, 20*time.Second)
		var gone sync.Once
		c := newCacheOn[string](t, s, s.Hooked(func(next func() error, names ...string) error {
			if names[0] == "evalsha" {
				gone.Do(func() { rdb.Del(t.Context(), keyOf(s, "1")) })
			}
			return next()
		}), func(cfg *cache.Config) { cfg.RefreshAhead = 30 * time.Second })
		want(t, get(t, c, newSource("renewed"), "1"), "old")
		redistest.Eventually(t, func() bool { return stored(t, s, "1") == `"renewed"` }, "the renewal stores its value")
	})
}

func TestARenewalIsTriedAgainWhenTheLeaseIsFree(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		warm(t, newCache[string](t, s))
		var refused sync.Once
		held := make(chan struct{})
		c := newCacheOn[string](t, s, s.Hooked(func(next func() error, names ...string) error {
			if names[0] == "evalsha" {
				defer refused.Do(func() { close(held) })
			}
			return next()
		}), func(cfg *cache.Config) { cfg.RefreshAhead = 30 * time.Second })
		rdb, src := s.Client(), newSource("renewed")
		rdb.Set(t.Context(), keyOf(s, "1"), `"old"`, 20*time.Second)
		rdb.Set(t.Context(), leaseOf(s, "1"), "another load", time.Minute)
		want(t, get(t, c, src, "1"), "old")
		<-held
		rdb.Del(t.Context(), leaseOf(s, "1"))
		redistest.Eventually(t, func() bool { return get(t, c, src, "1").Value == "renewed" }, "a later hit renews")
	})
}

func TestARenewalThatFindsNothingRemovesTheValue(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.TTL, cfg.RefreshAhead = time.Minute, 30*time.Second })
		s.Client().Set(t.Context(), keyOf(s, "1"), `"old"`, 20*time.Second)
		absent := func(context.Context, string) (string, error) { return "", cache.ErrNotFound }
		if v, err := c.GetOrLoad(t.Context(), "1", absent); err != nil || v != "old" {
			t.Errorf("got %v, %v; want the value that is there", v, err)
		}
		redistest.Eventually(t, func() bool { return stored(t, s, "1") == "" }, "the value goes")
	})
}
