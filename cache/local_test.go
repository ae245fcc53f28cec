package cache_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

// localOn turns the near cache on, with miniredis, which cannot track, by age
// alone.
func localOn(cfg *cache.Config) { cfg.Local = cache.Local{MaxEntries: 1000, Untracked: true} }

// newLocal makes a cache whose near cache is in use.
func newLocal[V any](t testing.TB, s *redistest.Server, set ...func(*cache.Config)) *cache.Cache[V] {
	t.Helper()
	return newLocalOn[V](t, s, s.Client(), set...)
}

func newLocalOn[V any](t testing.TB, s *redistest.Server, rdb redis.UniversalClient, set ...func(*cache.Config)) *cache.Cache[V] {
	t.Helper()
	c := newCacheOn[V](t, s, rdb, append([]func(*cache.Config){localOn}, set...)...)
	inUse(t, c)
	return c
}

// inUse waits until the near cache of c keeps values.
func inUse[V any](t testing.TB, c *cache.Cache[V]) {
	t.Helper()
	redistest.Eventually(t, func() bool {
		_, _ = c.Get(context.Background(), "wake")
		return c.Stats().LocalState >= cache.LocalUntracked
	}, "the near cache is in use")
}

// near says whether a Get of id is answered without Redis.
func near[V any](t testing.TB, c *cache.Cache[V], id string) bool {
	t.Helper()
	before := c.Stats().LocalHits
	if _, err := c.Get(t.Context(), id); err != nil && !errors.Is(err, cache.ErrMiss) {
		t.Fatal(err)
	}
	return c.Stats().LocalHits > before
}

func TestASecondReadCostsNoRoundTrip(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		roundTrips := redistest.Trips(rdb)
		c, src := newLocalOn[string](t, s, rdb), newSource("v")
		want(t, get(t, c, src, "1"), "v")
		redistest.Eventually(t, func() bool { return near(t, c, "1") }, "the fill was announced")
		roundTrips.Take()
		want(t, get(t, c, src, "1"), "v")
		if v, err := c.Get(t.Context(), "1"); err != nil || v != "v" {
			t.Errorf("Get: %q, %v", v, err)
		}
		if got, err := c.GetMany(t.Context(), []string{"1", "1"}); err != nil || got["1"] != "v" {
			t.Errorf("GetMany: %v, %v", got, err)
		}
		var l loadIDs
		if got, err := c.GetOrLoadMany(t.Context(), []string{"1"}, l.load); err != nil || got["1"] != "v" {
			t.Errorf("GetOrLoadMany: %v, %v", got, err)
		}
		if got := roundTrips.Take(); got != 0 {
			t.Errorf("%d round trips", got)
		}
	})
}

func TestAChangeByAnotherProgramIsSeenSoon(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c, rdb, ctx := newLocal[string](t, s), s.Client(), t.Context()
	for name, change := range map[string]func(key string) error{
		"SET":    func(key string) error { return rdb.Set(ctx, key, `"new"`, time.Minute).Err() },
		"DEL":    func(key string) error { return rdb.Del(ctx, key).Err() },
		"UNLINK": func(key string) error { return rdb.Unlink(ctx, key).Err() },
		"RENAME": func(key string) error { return rdb.Rename(ctx, key, s.Prefix()+":away").Err() },
		"script": func(key string) error {
			return rdb.Eval(ctx, `return redis.call('SET', KEYS[1], '"new"', 'PX', 60000)`, []string{key}).Err()
		},
		"APPEND":  func(key string) error { return rdb.Append(ctx, key, " ").Err() },
		"PEXPIRE": func(key string) error { return rdb.PExpire(ctx, key, time.Hour).Err() },
	} {
		t.Run(name, func(t *testing.T) {
			if err := rdb.Set(ctx, keyOf(s, name), `"old"`, time.Minute).Err(); err != nil {
				t.Fatal(err)
			}
			redistest.Eventually(t, func() bool { return near(t, c, name) }, "it is kept")
			if err := change(keyOf(s, name)); err != nil {
				t.Fatal(err)
			}
			redistest.Eventually(t, func() bool { return !near(t, c, name) }, "the change is announced")
		})
	}
}

// holdsARead makes a cache of which the next read, once held is set, closes read
// when it was answered, and waits for goOn.
func holdsARead(t *testing.T, s *redistest.Server) (c *cache.Cache[string], held *atomic.Bool, read, goOn chan struct{}) {
	t.Helper()
	held, read, goOn = new(atomic.Bool), make(chan struct{}), make(chan struct{})
	c = newLocalOn[string](t, s, s.Hooked(func(next func() error, names ...string) error {
		err := next()
		if slices.Contains(names, "get") && held.CompareAndSwap(true, false) {
			close(read)
			<-goOn
		}
		return err
	}))
	return c, held, read, goOn
}

func TestAReadThatAChangeOvertookIsNotKept(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c, held, read, goOn := holdsARead(t, s)
	other := s.Client()
	for _, value := range []string{`"old"`, `"new"`} {
		if value == `"new"` {
			held.Store(true)
			overtaken := redistest.Async(func() (string, error) { return c.Get(t.Context(), "1") })
			<-read
			defer func() { want(t, <-overtaken, "old") }()
		}
		before := c.Stats().LocalInvalidations
		if err := other.Set(t.Context(), keyOf(s, "1"), value, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, func() bool { return c.Stats().LocalInvalidations > before }, "the write is announced")
	}
	close(goOn)
	for range 100 {
		if v, err := c.Get(t.Context(), "1"); err != nil {
			t.Fatal(err)
		} else if v == "new" && near(t, c, "1") {
			return
		}
	}
	t.Error("the new value is not kept")
}

// What this process writes, it sees at once.
func TestAnOwnChangeIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		c, ctx := newLocal[string](t, s), t.Context()
		for name, change := range map[string]func(id string) error{
			"Set":     func(id string) error { return c.Set(ctx, id, "new") },
			"SetMany": func(id string) error { return c.SetMany(ctx, map[string]string{id: "new"}) },
			"Delete":  func(id string) error { return c.Delete(ctx, id) },
			"Clear":   func(string) error { _, err := c.Clear(ctx, nil); return err },
		} {
			for range 20 {
				if err := c.Set(ctx, name, "old"); err != nil {
					t.Fatal(err)
				}
				redistest.Eventually(t, func() bool { return near(t, c, name) }, "it is kept")
				if err := change(name); err != nil {
					t.Fatal(err)
				}
				if v, err := c.Get(ctx, name); v == "old" {
					t.Fatalf("%s: the old value, %v", name, err)
				}
			}
		}
	})
}

// Its reply is lost, so it may have been carried out.
func TestAChangeThatFailedIsNotHidden(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(context.Context, *cache.Cache[string]) error{
		"Set":    func(ctx context.Context, c *cache.Cache[string]) error { return c.Set(ctx, "1", "new") },
		"Delete": func(ctx context.Context, c *cache.Cache[string]) error { return c.Delete(ctx, "1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Run(t, func(t *testing.T, s *redistest.Server) {
				var lost atomic.Bool
				c := newLocalOn[string](t, s, s.Hooked(func(next func() error, _ ...string) error {
					err := next()
					if lost.Load() {
						return io.ErrUnexpectedEOF
					}
					return err
				}))
				if err := c.Set(t.Context(), "1", "old"); err != nil {
					t.Fatal(err)
				}
				redistest.Eventually(t, func() bool { return near(t, c, "1") }, "it is kept")
				lost.Store(true)
				if err := change(t.Context(), c); err == nil {
					t.Fatal("no error")
				}
				lost.Store(false)
				if v, err := c.Get(t.Context(), "1"); v == "old" {
					t.Errorf("the old value, %v", err)
				}
			})
		})
	}
}

// cutter makes a client whose connection that follows changes goes through a
// proxy, and no other.
func cutter(t *testing.T, s *redistest.Server, set ...func(*cache.Config)) (*cache.Cache[string], *redistest.Proxy) {
	t.Helper()
	proxy := redistest.StartProxy(t, s.Addr())
	var through atomic.Bool
	rdb := s.Client(func(o *redis.Options) {
		o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if through.Load() {
				addr = proxy.Addr()
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
	})
	rdb.Ping(t.Context())
	pipe := rdb.Pipeline()
	pipe.Ping(t.Context())
	pipe.Ping(t.Context())
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	through.Store(true) // what dials from here on
	c := newLocalOn[string](t, s, rdb, set...)
	if n := proxy.Connections(); n != 1 {
		t.Fatalf("%d connections through the proxy, want the one that follows changes", n)
	}
	return c, proxy
}

func TestNothingOlderThanMaxAgeIsSeenWhicheverConnectionIsCut(t *testing.T) {
	t.Parallel()
	const maxAge = 300 * time.Millisecond
	s := redistest.Real(t)
	c, proxy := cutter(t, s, func(cfg *cache.Config) { cfg.Local.MaxAge = maxAge })
	other, ctx := s.Client(), t.Context()
	// On a slow machine the old value may have aged before anybody asks.
	redistest.Eventually(t, func() bool {
		other.Set(ctx, keyOf(s, "1"), `"old"`, time.Minute)
		redistest.Eventually(t, func() bool { return near(t, c, "1") }, "it is kept")
		proxy.BlackHole()
		defer proxy.Heal()
		other.Set(ctx, keyOf(s, "1"), `"new"`, time.Minute)
		for written, old := time.Now(), 0; ; old++ {
			asked := time.Now()
			v, err := c.Get(ctx, "1")
			if err != nil {
				t.Fatal(err)
			}
			if v == "new" {
				return old > 0
			}
			if age := asked.Sub(written); age > maxAge {
				t.Fatalf("the old value, %v after it was changed", age)
			}
		}
	}, "the old value is seen for a while")
}

func TestALostConnectionIsBypassedAndOneThatIsBackStartsAnew(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c, proxy := cutter(t, s, func(cfg *cache.Config) { cfg.Local.MaxAge = time.Hour })
	other, ctx := s.Client(), t.Context()
	set := func(value string) {
		other.Set(ctx, keyOf(s, "1"), `"`+value+`"`, time.Minute)
	}
	for name, lose := range map[string]func(){"closed": proxy.Down, "silent": proxy.BlackHole} {
		redistest.Eventually(t, func() bool { _, _ = c.Get(ctx, "1"); return c.Stats().LocalState == cache.LocalTracking }, "changes are followed")
		before := c.Stats().LocalInvalidations
		set("old " + name)
		// Not before the write is announced: that too would end what is kept.
		redistest.Eventually(t, func() bool { return c.Stats().LocalInvalidations > before && near(t, c, "1") }, "it is kept")
		lose()
		redistest.Eventually(t, func() bool { return !near(t, c, "1") }, "the loss is noticed")
		for range 3 {
			bypasses := c.Stats().LocalBypasses
			if near(t, c, "1") || c.Stats().LocalBypasses == bypasses {
				t.Error("a near value without a connection")
			}
		}
		set("new " + name)
		proxy.Up()
		proxy.Heal()
		redistest.Eventually(t, func() bool {
			if v, err := c.Get(ctx, "1"); err != nil || v != "new "+name {
				t.Fatalf("got %q, %v", v, err)
			}
			return near(t, c, "1")
		}, "it is kept again")
	}
}

func TestAFlushIsSeen(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb, ctx := server.Client(), t.Context()
	c, err := cache.New[string](rdb, cache.Config{Key: "k:*", TTL: time.Minute, Local: cache.Local{MaxEntries: 10}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	inUse(t, c)
	if err := c.Set(ctx, "1", "v"); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, func() bool { return near(t, c, "1") }, "it is kept")
	rdb.FlushAll(ctx)
	redistest.Eventually(t, func() bool { _, err := c.Get(ctx, "1"); return errors.Is(err, cache.ErrMiss) }, "it is gone")
}

func TestANearValueExpiresWithItsTTL(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		c, other, ctx := newLocal[string](t, s), s.Client(), t.Context()
		before := time.Now()
		for range 100 {
			other.Set(ctx, keyOf(s, "1"), `"v"`, 200*time.Millisecond)
			before = time.Now() // by now at the latest it lives
			if _, err := c.Get(ctx, "1"); err == nil && near(t, c, "1") {
				break
			}
		}
		for {
			asked := time.Now()
			v, err := c.Get(ctx, "1")
			if errors.Is(err, cache.ErrMiss) {
				return
			}
			if asked.Sub(before) > 201*time.Millisecond {
				t.Fatalf("%q, %v after %v with a TTL of 200ms", v, err, asked.Sub(before))
			}
		}
	})
}

func TestANearValueIsRenewedAheadOfItsExpiry(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		c, src := newLocal[string](t, s, func(cfg *cache.Config) {
			cfg.TTL, cfg.RefreshAhead = 2*time.Second, 1900*time.Millisecond
		}), newSource("v")
		want(t, get(t, c, src, "1"), "v")
		redistest.Eventually(t, func() bool { want(t, get(t, c, src, "1"), "v"); return c.Stats().Refreshes >= 3 }, "it is renewed")
		if got := c.Stats(); got.Misses > 10 {
			t.Errorf("stats = %+v, want renewals and no misses", got)
		}
	})
}

func TestCallersShareAReadOnlyValueAndNoOther(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, readOnly := range []bool{false, true} {
			c := newLocal[[]int](t, s, func(cfg *cache.Config) { cfg.Local.ReadOnly = readOnly })
			if err := c.Set(t.Context(), "1", []int{1, 2, 3}); err != nil {
				t.Fatal(err)
			}
			redistest.Eventually(t, func() bool { return near(t, c, "1") }, "it is kept")
			var callers sync.WaitGroup
			values := make([][]int, 8)
			for i := range values {
				callers.Go(func() {
					values[i], _ = c.GetOrLoad(t.Context(), "1", nil)
					if !readOnly {
						values[i][0]++ // its own
					}
				})
			}
			callers.Wait()
			for i := range values {
				if shared := i > 0 && &values[i][0] == &values[0][0]; i > 0 && shared != readOnly {
					t.Errorf("shared %v with ReadOnly %v", shared, readOnly)
				}
				if !readOnly && values[i][0] != 2 {
					t.Errorf("got %v", values[i])
				}
			}
		}
	})
}

func TestAServerThatRefusesToTrackIsBypassed(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	_, as := s.User("~* +@all -client|tracking &*")
	var reported redistest.Recorder
	c := newCacheOn[string](t, s, s.Client(as), onError(&reported), func(cfg *cache.Config) { cfg.Local.MaxEntries = 10 })
	if err := c.Set(t.Context(), "1", "v"); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, func() bool { near(t, c, "1"); return c.Stats().LocalState == cache.LocalRefused }, "refused")
	for range 3 {
		if near(t, c, "1") || !reported.Has("track changes") {
			t.Errorf("stats = %+v, OnError received %v", c.Stats(), reported.All())
		}
	}

	c = newLocalOn[string](t, s, s.Client(as))
	if err := c.Set(t.Context(), "1", "w"); err != nil {
		t.Fatal(err)
	}
	near(t, c, "1")
	if st := c.Stats(); !near(t, c, "1") || st.LocalState != cache.LocalUntracked {
		t.Errorf("stats = %+v", st)
	}
}

// The permissions that doc.go names suffice.
func TestPermissionsOfANearCache(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	_, as := s.User("~" + s.Prefix() + "* -@all +hello +ping +get +pttl +subscribe +client|id +client|tracking &__redis__:invalidate")
	c := newLocalOn[string](t, s, s.Client(as))
	s.Client().Set(t.Context(), keyOf(s, "1"), `"v"`, time.Minute)
	redistest.Eventually(t, func() bool { return near(t, c, "1") }, "it is kept")
	if st := c.Stats(); st.LocalState != cache.LocalTracking {
		t.Errorf("stats = %+v", st)
	}
}

func TestAClosedCacheAnswersNothing(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		c := newLocal[string](t, s)
		c.Set(t.Context(), "1", "v")
		redistest.Eventually(t, func() bool { return near(t, c, "1") }, "it is kept")
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if v, err := c.Get(t.Context(), "1"); !errors.Is(err, cache.ErrClosed) {
			t.Errorf("Get = %q, %v", v, err)
		}
	})
}

func TestNewRefusesANearCacheOverReplicas(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ReadOnly: true})
	defer rdb.Close()
	_, err := cache.New[string](rdb, cache.Config{Key: "k:*", TTL: time.Minute, Local: cache.Local{MaxEntries: 1}})
	if err == nil || !strings.Contains(err.Error(), "Config.Local: ") {
		t.Errorf("New = %v", err)
	}
}

func TestAnUndecodableValueIsNotKept(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		c := newLocal[int](t, s)
		s.Client().Set(t.Context(), keyOf(s, "1"), "not a number", time.Minute)
		for range 3 {
			if near(t, c, "1") {
				t.Error("an undecodable value is kept")
			}
		}
		if got := c.Stats().Undecodable; got != 3 {
			t.Errorf("%d were undecodable, want 3", got)
		}
	})
}

// Even if nothing announces the change by another program that made the load necessary.
func TestAReadThatALoadOvertookIsNotKept(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		c, held, read, goOn := holdsARead(t, s)
		other := s.Client()
		other.Set(t.Context(), keyOf(s, "1"), `"old"`, time.Minute)
		held.Store(true)
		overtaken := redistest.Async(func() (string, error) { return c.Get(t.Context(), "1") })
		<-read
		other.Del(t.Context(), keyOf(s, "1"))
		want(t, get(t, c, newSource("new"), "1"), "new")
		close(goOn)
		want(t, <-overtaken, "old")
		want(t, get(t, c, newSource("newer"), "1"), "new")
	})
}
