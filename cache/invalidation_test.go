package cache_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestDeleteDuringALoadKeepsTheOldValueOut(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		var reported redistest.Recorder
		c, src := newCache[string](t, s, onError(&reported)), newSource("old")
		slow, first := slowLoad(t, c, src, "1")
		src.set("new")
		if err := c.Delete(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		close(slow.open)
		want(t, <-first, "old") // it began before the Delete
		if got := reported.All(); len(got) != 1 || !errors.Is(got[0], cache.ErrRefused) {
			t.Errorf("OnError received %v, want ErrRefused", got)
		}
		if got := stored(t, s, "1"); got != "" {
			t.Errorf("Redis holds %s", got)
		}
		want(t, get(t, c, src, "1"), "new")
		if got := stored(t, s, "1"); got != `"new"` {
			t.Errorf("Redis holds %s, want the new value", got)
		}
		if got := c.Stats(); got.RefusedFills != 1 || got.Fills != 1 {
			t.Errorf("stats = %+v, want 1 refused fill and 1 fill", got)
		}
	})
}

// The old load must not pass because a second one holds the lease by now,
// whichever of the two ends first.
func TestASecondLoadGivesNoLeaseToTheFirst(t *testing.T) {
	t.Parallel()
	for _, oldFirst := range []bool{true, false} {
		run(t, func(t *testing.T, s *redistest.Server) {
			c, src := newCache[string](t, s), newSource("old")
			slow, old := slowLoad(t, c, src, "1")
			src.set("new")
			if err := c.Delete(t.Context(), "1"); err != nil {
				t.Fatal(err)
			}
			next, fresh := slowLoad(t, c, src, "1")
			if oldFirst {
				close(slow.open)
				want(t, <-old, "old")
				close(next.open)
				want(t, <-fresh, "new")
			} else {
				close(next.open)
				want(t, <-fresh, "new")
				close(slow.open)
				want(t, <-old, "old")
			}
			if got := stored(t, s, "1"); got != `"new"` {
				t.Errorf("Redis holds %s, want the new value", got)
			}
		})
	}
}

func TestAFailedLoadLeavesTheLeaseOfTheNextAlone(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c, src := newCache[string](t, s), newSource("new")
		entered, open := make(chan struct{}), make(chan struct{})
		broken := errors.New("the database is down")
		old := redistest.Async(func() (string, error) {
			return c.GetOrLoad(t.Context(), "1", func(context.Context, string) (string, error) {
				close(entered)
				<-open
				return "", broken
			})
		})
		<-entered
		if err := c.Delete(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		next, fresh := slowLoad(t, c, src, "1")
		close(open)
		if r := <-old; r.Err != broken {
			t.Errorf("got %v", r.Err)
		}
		if n := s.Client().Exists(t.Context(), leaseOf(s, "1")).Val(); n != 1 {
			t.Error("the second load lost its lease")
		}
		third := redistest.Async(func() (string, error) { return c.GetOrLoad(t.Context(), "1", src.load) })
		redistest.Eventually(t, func() bool { return c.Stats().Shared == 1 }, "a third caller joins the second")
		close(next.open)
		want(t, <-fresh, "new")
		want(t, <-third, "new")
		if got := stored(t, s, "1"); got != `"new"` {
			t.Errorf("Redis holds %s", got)
		}
	})
}

// This process knows of its own invalidations and need not wait for a load
// that they made worthless.
func TestACallerAfterAnInvalidationInItsProcessStartsANewLoad(t *testing.T) {
	t.Parallel()
	for name, invalidate := range map[string]func(context.Context, *cache.Cache[string], *redistest.Server) error{
		"Delete": func(ctx context.Context, c *cache.Cache[string], _ *redistest.Server) error {
			return c.Delete(ctx, "1")
		},
		"Set": func(ctx context.Context, c *cache.Cache[string], s *redistest.Server) error {
			return errors.Join(c.Set(ctx, "1", "evicted"), s.Client().Del(ctx, keyOf(s, "1")).Err())
		},
		"Clear": func(ctx context.Context, c *cache.Cache[string], _ *redistest.Server) error {
			_, err := c.Clear(ctx, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(t *testing.T, s *redistest.Server) {
				c, src := newCache[string](t, s), newSource("old")
				slow, early := slowLoad(t, c, src, "1")
				if err := invalidate(t.Context(), c, s); err != nil {
					t.Fatal(err)
				}
				want(t, get(t, c, newSource("new"), "1"), "new")
				if got := c.Stats().Shared; got != 0 {
					t.Errorf("%d callers joined the older load", got)
				}
				close(slow.open)
				want(t, <-early, "old")
			})
		})
	}
}

// The Delete happens in another process: this one cannot know of it, and its
// load is still under way when the new caller comes.
func TestACallerAfterADeleteByAnotherProgramIsNotAnsweredByAnOlderLoad(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		held  bool // by another process, longer than this one waits
		fails int  // the number of the script that fails
	}{"with the lease": {}, "without the lease": {held: true}, "with an acquire that fails": {fails: 1}, "with a fill that fails": {fails: 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(t *testing.T, s *redistest.Server) {
				there, src := newCache[string](t, s), newSource("old")
				warm(t, there)
				var scripts atomic.Int32
				here := newCacheOn[string](t, s, s.Hooked(func(next func() error, names ...string) error {
					if names[0] == "evalsha" && int(scripts.Add(1)) == tc.fails {
						return redis.ErrPoolTimeout
					}
					return next()
				}), func(cfg *cache.Config) { cfg.WaitTimeout = 30 * time.Millisecond })
				if tc.held {
					s.Client().Set(t.Context(), leaseOf(s, "1"), "another load", time.Minute)
				}
				slow, early := slowLoad(t, here, src, "1")
				src.set("new")
				if err := there.Delete(t.Context(), "1"); err != nil {
					t.Fatal(err)
				}
				late := redistest.Async(func() (string, error) { return here.GetOrLoad(t.Context(), "1", src.load) })
				redistest.Eventually(t, func() bool { return here.Stats().Shared == 1 }, "the late caller joins")
				close(slow.open)
				want(t, <-early, "old")
				want(t, <-late, "new")
			})
		})
	}
}

// The fill has passed, its reply is on its way, and another process deletes
// what it stored.
func TestACallerAfterADeleteByAnotherProgramIsNotAnsweredByAnOlderFill(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		there, src := newCache[string](t, s), newSource("old")
		warm(t, there)
		var scripts atomic.Int32
		filled, goOn := make(chan struct{}), make(chan struct{})
		here := newCacheOn[string](t, s, s.Hooked(func(next func() error, names ...string) error {
			err := next()
			if names[0] == "evalsha" && scripts.Add(1) == 2 {
				close(filled)
				<-goOn
			}
			return err
		}))
		early := redistest.Async(func() (string, error) { return here.GetOrLoad(t.Context(), "1", src.load) })
		<-filled
		src.set("new")
		if err := there.Delete(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		v, err := here.GetOrLoad(ctx, "1", src.load) // does not wait for the reply
		want(t, redistest.Result[string]{Value: v, Err: err}, "new")
		close(goOn)
		want(t, <-early, "old")
	})
}

// The answer to an acquire is on its way, with what another process deletes
// meanwhile.
func TestACallerAfterADeleteByAnotherProgramIsNotAnsweredByAnOlderRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		store func(context.Context, *cache.Cache[string]) error
		early redistest.Result[string]
	}{
		"value": {func(ctx context.Context, c *cache.Cache[string]) error {
			return c.Set(ctx, "1", "old")
		}, redistest.Result[string]{Value: "old", Err: nil}},
		"absence": {func(ctx context.Context, c *cache.Cache[string]) error {
			_, err := c.GetOrLoad(ctx, "1", func(context.Context, string) (string, error) { return "", cache.ErrNotFound })
			if errors.Is(err, cache.ErrNotFound) {
				return nil
			}
			return err
		}, redistest.Result[string]{Value: "", Err: cache.ErrNotFound}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(t *testing.T, s *redistest.Server) {
				remember := func(cfg *cache.Config) { cfg.NegativeTTL = time.Minute }
				there, src := newCache[string](t, s, remember), newSource("new")
				var acquires atomic.Int32
				asks, answered := make(chan struct{}), make(chan struct{})
				ask, answer := make(chan struct{}), make(chan struct{})
				here := newCacheOn[string](t, s, s.Hooked(func(next func() error, names ...string) error {
					if names[0] != "evalsha" && names[0] != "eval" || acquires.Add(1) > 1 {
						return next()
					}
					close(asks)
					<-ask
					err := next()
					close(answered)
					<-answer
					return err
				}), remember)
				warm(t, there) // so that the script is known and its first run answers

				early := redistest.Async(func() (string, error) { return here.GetOrLoad(t.Context(), "1", src.load) })
				<-asks // the read has missed
				if err := tc.store(t.Context(), there); err != nil {
					t.Fatal(err)
				}
				close(ask)
				<-answered // with what is old
				if err := there.Delete(t.Context(), "1"); err != nil {
					t.Fatal(err)
				}
				late := redistest.Async(func() (string, error) { return here.GetOrLoad(t.Context(), "1", src.load) })
				redistest.Eventually(t, func() bool { return here.Stats().Shared == 1 }, "the late caller joins")
				close(answer)
				if r := <-early; r.Value != tc.early.Value || !errors.Is(r.Err, tc.early.Err) {
					t.Errorf("the early caller got %q, %v", r.Value, r.Err)
				}
				want(t, <-late, "new")
			})
		})
	}
}

// An acquire is stuck in the network and reaches Redis after a Delete, which
// must not let the load that began before it store its value.
func TestAnAcquireThatArrivesLateDoesNotUndoADelete(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		warm(t, newCache[string](t, s))
		proxy := redistest.StartProxy(t, s.Addr())
		var dials atomic.Int32
		rdb := s.Client(func(o *redis.Options) {
			o.MaxRetries, o.ReadTimeout = 3, 500*time.Millisecond
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials.Add(1) == 1 {
					addr = proxy.Addr()
				}
				return new(net.Dialer).DialContext(ctx, network, addr)
			}
		})
		_ = rdb.Ping(t.Context()).Err() // by the connection that will be stuck
		var stuck sync.Once
		rdb.AddHook(redistest.Spy(func(cmd redis.Cmder) {
			if cmd.Name() == "evalsha" {
				stuck.Do(proxy.BlackHole)
			}
		}))
		c, src := newCacheOn[string](t, s, rdb, patientLease), newSource("old")
		slow, first := slowLoad(t, c, src, "1")
		src.set("new")
		if err := c.Delete(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
		proxy.Heal()
		redistest.Eventually(t, func() bool { return proxy.Open() == 0 }, "the stuck connection ends")
		redistest.Eventually(t, func() bool {
			return s.Client().Exists(t.Context(), leaseOf(s, "1")).Val() == 1
		}, "the acquire takes the lease after all")
		close(slow.open)
		want(t, <-first, "old")
		if got := stored(t, s, "1"); got != "" {
			t.Errorf("Redis holds %s", got)
		}
		redistest.Eventually(t, func() bool {
			return s.Client().Exists(t.Context(), leaseOf(s, "1")).Val() == 0
		}, "the lease is given back")
	})
}

// warm makes the server know the cache's scripts.
func warm(t testing.TB, c *cache.Cache[string]) {
	t.Helper()
	load := func(context.Context, string) (string, error) { return "", nil }
	if _, err := c.GetOrLoad(t.Context(), "warm", load); err != nil {
		t.Fatal(err)
	}
}

func TestAWriteDuringALoadIsNotOverwritten(t *testing.T) {
	t.Parallel()
	writers := map[string]func(ctx context.Context, c *cache.Cache[string], s *redistest.Server) error{
		"Set": func(ctx context.Context, c *cache.Cache[string], _ *redistest.Server) error {
			return c.Set(ctx, "1", "new")
		},
		"SetMany": func(ctx context.Context, c *cache.Cache[string], _ *redistest.Server) error {
			return c.SetMany(ctx, map[string]string{"1": "new", "2": "x"})
		},
		"another program: SETEX": func(ctx context.Context, _ *cache.Cache[string], s *redistest.Server) error {
			return s.Client().SetEx(ctx, keyOf(s, "1"), `"new"`, time.Minute).Err()
		},
	}
	for name, write := range writers {
		for brought, answer := range map[string]error{"a value": nil, "nothing": cache.ErrNotFound} {
			t.Run(name+" against "+brought, func(t *testing.T) {
				t.Parallel()
				run(t, func(t *testing.T, s *redistest.Server) {
					c, src := newCache[string](t, s, func(cfg *cache.Config) { cfg.NegativeTTL = time.Minute }), newSource("old")
					slow := src.holdNext()
					first := redistest.Async(func() (string, error) {
						return c.GetOrLoad(t.Context(), "1", func(ctx context.Context, id string) (string, error) {
							v, err := src.load(ctx, id)
							return v, errors.Join(err, answer)
						})
					})
					<-slow.entered
					if err := write(t.Context(), c, s); err != nil {
						t.Fatal(err)
					}
					close(slow.open)
					if r := <-first; !errors.Is(r.Err, answer) {
						t.Errorf("the load's own caller got %q, %v", r.Value, r.Err)
					}
					if got := stored(t, s, "1"); got != `"new"` {
						t.Errorf("Redis holds %s, want the newer value", got)
					}
					if n := s.Client().Exists(t.Context(), leaseOf(s, "1")).Val(); n != 0 {
						t.Error("a lease is left over")
					}
				})
			})
		}
	}
}

// What doc.go tells a service in another language to delete beside the value.
func TestADeleteOfValueAndLeaseByAnotherProgramKeepsTheOldValueOut(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c, src := newCache[string](t, s), newSource("old")
		slow, first := slowLoad(t, c, src, "1")
		lease := "rediskit:lease:{" + s.Prefix() + ":1:list}"
		if n := s.Client().Del(t.Context(), keyOf(s, "1"), lease).Val(); n != 1 {
			t.Fatalf("DEL removed %d keys, want the lease", n)
		}
		close(slow.open)
		<-first
		if got := stored(t, s, "1"); got != "" {
			t.Errorf("Redis holds %s", got)
		}
	})
}

func TestDeleteOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s)
		if err := c.SetMany(t.Context(), map[string]string{"1": "a", "2": "b", "3": "c"}); err != nil {
			t.Fatal(err)
		}
		hungUp, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.Delete(hungUp, "1", "2"); err != nil {
			t.Fatal(err)
		}
		left, err := c.GetMany(t.Context(), []string{"1", "2", "3"})
		if err != nil || len(left) != 1 || left["3"] != "c" {
			t.Errorf("left %v, %v; want only 3", left, err)
		}
	})
}

// A caller that ignores the errors of a client that hung up must not miss this one.
func TestADeleteThatFailsIsNotBlamedOnItsCaller(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		c := newCacheOn[string](t, s, s.Hooked(func(func() error, ...string) error { return redis.ErrPoolTimeout }))
		hungUp, cancel := context.WithCancel(t.Context())
		cancel()
		err := c.Delete(hungUp, "1")
		if !errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, context.Canceled) {
			t.Errorf("Delete = %v, want the failure alone", err)
		}
		if got := c.Stats().RedisErrors; got != 1 {
			t.Errorf("%d errors of Redis were counted, want 1", got)
		}
	})
}

// A load that failed had nothing to store, but what it knows may be too old
// for a caller that came after a Delete.
func TestAFailedLoadThatADeleteOvertookAnswersOnlyEarlierCallers(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		for name, fails := range map[string]error{"error": errors.New("the row is locked"), "absence": cache.ErrNotFound} {
			var reported redistest.Recorder
			here := newCache[string](t, s, onError(&reported), func(cfg *cache.Config) { cfg.NegativeTTL = time.Minute })
			there, src := newCache[string](t, s), newSource("old")
			slow := src.holdNext()
			load := func(ctx context.Context, id string) (string, error) {
				v, _ := src.load(ctx, id)
				if v == "old" {
					return "", fails
				}
				return v, nil
			}
			early := redistest.Async(func() (string, error) { return here.GetOrLoad(t.Context(), name, load) })
			<-slow.entered
			src.set("new")
			if err := there.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			late := redistest.Async(func() (string, error) { return here.GetOrLoad(t.Context(), name, load) })
			redistest.Eventually(t, func() bool { return here.Stats().Shared == 1 }, "the late caller joins")
			close(slow.open)
			if r := <-early; r.Err != fails {
				t.Errorf("%s: the early caller got %v", name, r.Err)
			}
			want(t, <-late, "new")
			if stored(t, s, name) != `"new"` {
				t.Errorf("%s: Redis holds %s, want the new value", name, stored(t, s, name))
			}
			if refused := here.Stats().RefusedFills == 1; refused != (name == "absence") || refused != reported.Has("kept a loaded value out") {
				t.Errorf("%s: %d refused fills, OnError received %v", name, here.Stats().RefusedFills, reported.All())
			}
		}
	})
}
