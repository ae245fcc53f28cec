package cache_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestWithoutRedisLoadsAnswerAndStillCollapse(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*redistest.Proxy){
		"refused":    (*redistest.Proxy).Down,
		"black hole": (*redistest.Proxy).BlackHole,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(t *testing.T, s *redistest.Server) {
				proxy := redistest.StartProxy(t, s.Addr())
				rdb := s.Client(func(o *redis.Options) {
					o.Addr = proxy.Addr()
					o.DialTimeout, o.ReadTimeout, o.PoolTimeout = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
				})
				var reported redistest.Recorder
				c, src := newCacheOn[string](t, s, rdb, onError(&reported)), newSource("v")
				if err := s.Client().Set(t.Context(), keyOf(s, "2"), `"stored"`, time.Minute).Err(); err != nil {
					t.Fatal(err) // not by rdb, whose time-outs a busy machine breaks
				}
				fault(proxy)
				slow := src.holdNext()
				var results []<-chan redistest.Result[string]
				for range 20 {
					results = append(results, redistest.Async(func() (string, error) { return c.GetOrLoad(t.Context(), "1", src.load) }))
				}
				redistest.Eventually(t, func() bool { return c.Stats().Shared == 19 }, "all wait for one load")
				close(slow.open)
				for _, r := range results {
					want(t, <-r, "v")
				}
				if src.count() != 1 {
					t.Errorf("%d loads, want 1", src.count())
				}
				got, err := c.GetOrLoadMany(t.Context(), []string{"1", "2"}, func(_ context.Context, ids []string) (map[string]string, error) {
					return map[string]string{ids[0]: "x", ids[1]: "y"}, nil
				})
				if err != nil || got["1"] != "x" || got["2"] != "y" {
					t.Errorf("GetOrLoadMany = %v, %v", got, err)
				}
				if err := c.Delete(t.Context(), "1"); err == nil {
					t.Error("Delete says that it deleted")
				}
				if _, err := c.Get(t.Context(), "1"); err == nil || errors.Is(err, cache.ErrMiss) {
					t.Errorf("Get = %v, want the failure and not a miss", err)
				}
				if !reported.Has("get or load") || c.Stats().RedisErrors == 0 {
					t.Error("nothing reported that Redis is down")
				}
				proxy.Up()
				proxy.Heal()
				redistest.Eventually(t, func() bool { v, err := c.Get(t.Context(), "2"); return err == nil && v == "stored" }, "hits again")
			})
		})
	}
}

func TestARedisThatFailedAReadIsAskedForNothingElse(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		var sent atomic.Int32
		c := newCacheOn[string](t, s, s.Hooked(func(func() error, ...string) error {
			sent.Add(1)
			return redis.ErrPoolTimeout
		}))
		want(t, get(t, c, newSource("v"), "1"), "v")
		if err := c.Close(); err != nil { // nothing is under way any more
			t.Fatal(err)
		}
		if got := sent.Load(); got != 1 {
			t.Errorf("%d commands, want just the GET", got)
		}
	})
}

// readOnly lets reads through and fails everything that writes.
func readOnly(s *redistest.Server) *redis.Client {
	return s.Hooked(func(next func() error, names ...string) error {
		switch names[0] {
		case "get", "mget", "pttl":
			return next()
		}
		return errors.New("READONLY You can't write against a read only replica.")
	})
}

func TestAValueThatNoLongerDecodesIsAMissAndIsReplaced(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		for name, corrupt := range map[string]string{"truncated": `"v`, "empty": "", "of another shape": `{"v":1}`, "binary": "\xff\x00"} {
			var reported redistest.Recorder
			c, src := newCache[string](t, s, onError(&reported)), newSource("v")
			if err := s.Client().Set(t.Context(), keyOf(s, name), corrupt, time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
			if v, err := c.Get(t.Context(), name); !errors.Is(err, cache.ErrMiss) || v != "" {
				t.Errorf("%s: Get = %q, %v; want a miss", name, v, err)
			}
			want(t, get(t, c, src, name), "v")
			if got := stored(t, s, name); got != `"v"` {
				t.Errorf("%s: Redis holds %q, want it healed", name, got)
			}
			want(t, get(t, c, src, name), "v")
			if src.count() != 1 || c.Stats().Undecodable != 2 || !reported.Has("codec failed") {
				t.Errorf("%s: %d loads, %+v, OnError received %v", name, src.count(), c.Stats(), reported.All())
			}
		}
	})
}

func TestACorruptValueIsLoadedAlthoughItsAbsenceIsRemembered(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.NegativeTTL = time.Minute })
		_, err := c.GetOrLoad(t.Context(), "1", func(context.Context, string) (string, error) { return "", cache.ErrNotFound })
		if !errors.Is(err, cache.ErrNotFound) {
			t.Fatal(err)
		}
		s.Client().Set(t.Context(), keyOf(s, "1"), "{corrupt", time.Minute) // so there is something
		want(t, get(t, c, newSource("v"), "1"), "v")
		if got := stored(t, s, "1"); got != `"v"` {
			t.Errorf("Redis holds %s, want it healed", got)
		}
	})
}

func TestAFreshValueInPlaceOfACorruptOneNeedsNoLoad(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		warm(t, newCache[string](t, s))
		rdb := s.Client()
		rdb.Set(t.Context(), keyOf(s, "1"), "{corrupt", time.Minute)
		var scripts atomic.Int32
		c := newCacheOn[string](t, s, s.Hooked(func(next func() error, names ...string) error {
			if names[0] == "evalsha" && scripts.Add(1) == 2 { // the acquire that means to replace
				rdb.Set(t.Context(), keyOf(s, "1"), `"fresh"`, time.Minute)
			}
			return next()
		}))
		src := newSource("loaded")
		want(t, get(t, c, src, "1"), "fresh")
		if src.count() != 0 {
			t.Errorf("%d loads, want none", src.count())
		}
	})
}

func TestACorruptValueThatCannotBeReplacedCostsOneLoad(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		if err := s.Client().Set(t.Context(), keyOf(s, "1"), "{corrupt", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		c, src := newCacheOn[string](t, s, readOnly(s)), newSource("v")
		want(t, get(t, c, src, "1"), "v")
		if src.count() != 1 {
			t.Errorf("GetOrLoad: %d loads, want 1", src.count())
		}
		calls := 0
		got, err := c.GetOrLoadMany(t.Context(), []string{"1"}, func(context.Context, []string) (map[string]string, error) {
			calls++
			return map[string]string{"1": "v"}, nil
		})
		if err != nil || got["1"] != "v" || calls != 1 {
			t.Errorf("GetOrLoadMany = %v, %v after %d loads", got, err, calls)
		}
	})
}

// A fresh value that another process stored must survive the healing of the
// corrupt one that was read before it.
func TestOnlyTheCorruptValueThatWasReadIsReplaced(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		rdb.Set(t.Context(), keyOf(s, "1"), "{corrupt", time.Minute)
		c, src := newCache[string](t, s), newSource("old")
		slow, first := slowLoad(t, c, src, "1")
		rdb.SetEx(t.Context(), keyOf(s, "1"), `"new"`, time.Minute)
		close(slow.open)
		want(t, <-first, "old")
		if got := stored(t, s, "1"); got != `"new"` {
			t.Errorf("Redis holds %s, want the newer value", got)
		}
	})
}

// Another program keeps another kind of data under our key: it is not ours to
// delete, and no reason to fail.
func TestAKeyOfAnotherTypeIsLoadedAndLeftAlone(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		rdb.HSet(t.Context(), keyOf(s, "1"), "field", "foreign")
		rdb.Expire(t.Context(), keyOf(s, "1"), time.Minute)
		c, src := newCache[string](t, s), newSource("v")
		want(t, get(t, c, src, "1"), "v")
		got, err := c.GetOrLoadMany(t.Context(), []string{"1", "2"}, func(_ context.Context, ids []string) (map[string]string, error) {
			return map[string]string{"1": "v", "2": "w"}, nil
		})
		if err != nil || got["1"] != "v" || got["2"] != "w" {
			t.Errorf("GetOrLoadMany = %v, %v", got, err)
		}
		if rdb.HGet(t.Context(), keyOf(s, "1"), "field").Val() != "foreign" {
			t.Error("the hash of the other program is gone")
		}
		if got := stored(t, s, "2"); got != `"w"` {
			t.Errorf("the other id was not stored: %q", got)
		}
	})
}

// patientLease makes a lease outlive the test's patience: one that is gone was
// given back.
func patientLease(cfg *cache.Config) { cfg.LoadTimeout = time.Minute }

// The others must not wait for a lease that no load uses any more.
func TestAFillThatFailsGivesItsLeaseBack(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		warm(t, newCache[string](t, s))
		var scripts atomic.Int32
		c := newCacheOn[string](t, s, s.Hooked(func(next func() error, names ...string) error {
			if names[0] == "evalsha" && scripts.Add(1) == 2 {
				return redis.ErrPoolTimeout
			}
			return next()
		}), patientLease)
		src := newSource("v")
		want(t, get(t, c, src, "1"), "v")
		redistest.Eventually(t, func() bool {
			return s.Client().Exists(t.Context(), leaseOf(s, "1")).Val() == 0
		}, "the lease is given back")
		want(t, get(t, newCache[string](t, s), src, "1"), "v")
	})
}

func TestACallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) { o.Addr = proxy.Addr() })
		c, src := newCacheOn[string](t, s, rdb), newSource("v")
		proxy.BlackHole()
		for name, call := range map[string]func(context.Context) error{
			"Get":       func(ctx context.Context) error { _, err := c.Get(ctx, "1"); return err },
			"GetOrLoad": func(ctx context.Context) error { _, err := c.GetOrLoad(ctx, "1", src.load); return err },
			"GetMany":   func(ctx context.Context) error { _, err := c.GetMany(ctx, []string{"1"}); return err },
			"GetOrLoadMany": func(ctx context.Context) error {
				_, err := c.GetOrLoadMany(ctx, []string{"1"}, nil)
				return err
			},
			"Set":   func(ctx context.Context) error { return c.Set(ctx, "1", "v") },
			"Clear": func(ctx context.Context) error { _, err := c.Clear(ctx, nil); return err },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want the deadline", name, err)
			}
			cancel()
			if err := call(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s with an ended context: %v", name, err)
			}
		}
		if src.count() != 0 {
			t.Error("a loader ran for a caller that was gone")
		}
		proxy.Heal()
	})
}

func TestErrorsNameTheOperationAndNeverTheData(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		const canary = "CANARY"
		var reported redistest.Recorder
		rdb := s.Client()
		c, err := cache.New[string](rdb, cache.Config{
			Key: s.Prefix() + ":*", Name: "lists", TTL: time.Minute, MaxValueBytes: 20, OnError: reported.OnError,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		load := func(context.Context, string) (string, error) { return canary, nil }
		ctx := t.Context()
		var errs []error
		note := func(_ any, err error) { errs = append(errs, err) }
		note(c.Get(ctx, canary))
		note(nil, c.Set(ctx, canary, strings.Repeat(canary, 10)))
		rdb.Set(ctx, s.Prefix()+":"+canary, `"`+canary, time.Minute)
		note(c.GetOrLoad(ctx, canary, load))
		rdb.Set(ctx, s.Prefix()+":"+canary, `{"`+canary+`":1}`, time.Minute)
		note(c.GetOrLoad(ctx, canary, load))
		rdb.Del(ctx, s.Prefix()+":"+canary)
		rdb.LPush(ctx, s.Prefix()+":"+canary, "x")
		rdb.Expire(ctx, s.Prefix()+":"+canary, time.Minute)
		note(c.Get(ctx, canary))
		note(c.GetOrLoad(ctx, canary+"2", func(context.Context, string) (string, error) { panic(canary) }))
		note(c.GetOrLoad(ctx, canary+"3", func(context.Context, string) (string, error) { return "", cache.ErrNotFound }))
		bad, err := cache.New[any](rdb, cache.Config{Key: s.Prefix() + ":*", Name: "lists", TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer bad.Close()
		note(nil, bad.Set(ctx, canary, map[string]any{canary: func() {}}))
		rdb.Close()
		note(c.Get(ctx, canary))
		note(nil, c.Delete(ctx, canary))
		seen := 0
		for _, err := range append(errs, reported.All()...) {
			if err == nil {
				continue
			}
			seen++
			if strings.Contains(err.Error(), canary) {
				t.Errorf("an error tells data: %v", err)
			}
			if !strings.HasPrefix(err.Error(), "cache: ") || !strings.Contains(err.Error(), "lists") && !errors.Is(err, cache.ErrNotFound) {
				t.Errorf("an error does not say where it comes from: %v", err)
			}
		}
		if seen < 9 {
			t.Errorf("only %d errors were seen", seen)
		}
	})
}

func TestAFullServerStillAnswersThroughTheLoader(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction")
	var reported redistest.Recorder
	c, err := cache.New[string](server.Client(), cache.Config{Key: "full:*", TTL: time.Minute, OnError: reported.OnError})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	src := newSource("v")
	want(t, get(t, c, src, "1"), "v")
	want(t, get(t, c, src, "1"), "v")
	if src.count() != 2 || !reported.Has("OOM command not allowed when used memory > 'maxmemory'") {
		t.Errorf("%d loads, OnError received %v", src.count(), reported.All())
	}
	if err := c.Set(t.Context(), "1", "v"); !redis.HasErrorPrefix(err, "OOM") {
		t.Errorf("Set = %v, want Redis's reply", err)
	}
	if err := c.Delete(t.Context(), "1"); err != nil {
		t.Errorf("Delete = %v: it needs no memory", err)
	}
}

// A server that is slow, but not silent, is waited for by one load.
func TestASlowServerIsAnsweredThroughOneLoad(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		c, src := newCacheOn[string](t, s, s.Client(func(o *redis.Options) { o.Addr = proxy.Addr() })), newSource("v")
		warm(t, c)
		proxy.Delay(30 * time.Millisecond)
		var results []<-chan redistest.Result[string]
		for range 20 {
			results = append(results, redistest.Async(func() (string, error) { return c.GetOrLoad(t.Context(), "1", src.load) }))
		}
		for _, r := range results {
			want(t, <-r, "v")
		}
		if src.count() != 1 || stored(t, s, "1") != `"v"` {
			t.Errorf("%d loads, stored %q", src.count(), stored(t, s, "1"))
		}
		proxy.Heal()
	})
}

// go-redis's own defaults do not end a command with its context: the call is
// late then, and still answered.
func TestAClientThatIgnoresContextsDelaysCallsByItsTimeOuts(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) {
			o.Addr, o.ContextTimeoutEnabled, o.ReadTimeout = proxy.Addr(), false, 100*time.Millisecond
		})
		c, src := newCacheOn[string](t, s, rdb), newSource("v")
		_, _ = c.Get(t.Context(), "1")
		proxy.BlackHole()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := c.GetOrLoad(ctx, "1", src.load)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) < 100*time.Millisecond {
			t.Errorf("after %v: %v; want the deadline, reported after ReadTimeout", time.Since(began), err)
		}
		want(t, get(t, c, src, "1"), "v")
		proxy.Heal()
	})
}
