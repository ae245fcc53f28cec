package cache_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

// racer loads an id from many goroutines as soon as it reads it, and prints
// how many of them got the right value. Loads count themselves in Redis.
var racer = redistest.Child("racer", func(args []string) {
	addr, pattern, counter, goroutines := args[0], args[1], args[2], args[3]
	rdb := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 20})
	defer rdb.Close()
	c, err := cache.New[string](rdb, cache.Config{Key: pattern, TTL: time.Minute})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	n, _ := strconv.Atoi(goroutines)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		id := in.Text()
		var right sync.Map
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				v, err := c.GetOrLoad(context.Background(), id, func(ctx context.Context, id string) (string, error) {
					time.Sleep(20 * time.Millisecond) // a query
					return "value of " + id, rdb.HIncrBy(ctx, counter, id, 1).Err()
				})
				if err == nil && v == "value of "+id {
					right.Store(i, true)
				}
			})
		}
		all.Wait()
		count := 0
		right.Range(func(any, any) bool { count++; return true })
		fmt.Println(count)
	}
})

func TestRacingProcessesLoadOnce(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		const processes, goroutines, ids = 4, 25, 10
		counter := s.Prefix() + ":loads"
		var children []*redistest.ChildProcess
		for range processes {
			children = append(children, redistest.Spawn(t, racer, s.Addr(), s.Prefix()+":*:list", counter, strconv.Itoa(goroutines)))
		}
		for i := range ids {
			for _, child := range children {
				child.Send(fmt.Sprint("id ", i))
			}
			for _, child := range children {
				if got := child.Line(); got != strconv.Itoa(goroutines) {
					t.Errorf("%s of %d callers got the value", got, goroutines)
				}
			}
		}
		for id, loads := range s.Client().HGetAll(t.Context(), counter).Val() {
			if loads != "1" {
				t.Errorf("%s was loaded %s times", id, loads)
			}
		}
		if n := s.Client().HLen(t.Context(), counter).Val(); n != ids {
			t.Errorf("%d ids were loaded, want %d", n, ids)
		}
		s.Client().Del(t.Context(), counter)
	})
}

// holder takes the lease of an id and never loads it.
var holder = redistest.Child("holder", func(args []string) {
	rdb := redis.NewClient(&redis.Options{Addr: args[0]})
	c, err := cache.New[string](rdb, cache.Config{Key: args[1], TTL: time.Minute, LoadTimeout: 200 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	_, _ = c.GetOrLoad(context.Background(), "1", func(context.Context, string) (string, error) {
		fmt.Println("loading")
		select {}
	})
})

func TestAKilledLoaderIsReplacedWhenItsLeaseEnds(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		child := redistest.Spawn(t, holder, s.Addr(), s.Prefix()+":*:list")
		if got := child.Line(); got != "loading" {
			t.Fatal(got)
		}
		child.Kill()
		left := s.Client().PTTL(t.Context(), leaseOf(s, "1")).Val()
		if left <= 0 || left > 1200*time.Millisecond {
			t.Fatalf("the dead process's lease has %v left, want up to LoadTimeout + 1s", left)
		}
		c, src := newCache[string](t, s), newSource("v")
		want(t, get(t, c, src, "1"), "v")
		if got := c.Stats(); got.Fills != 1 || got.LeaseWaits == 0 {
			t.Errorf("stats = %+v, want a wait and then a fill", got)
		}
	})
}

func TestALeaseOutlivesItsLoadByTimeForTheFill(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		c, src := newCache[string](t, s, func(cfg *cache.Config) { cfg.LoadTimeout = time.Minute }), newSource("v")
		want(t, get(t, c, src, "warm"), "v")
		slow, call := slowLoad(t, c, src, "1")
		if left := s.Client().PTTL(t.Context(), leaseOf(s, "1")).Val(); left <= time.Minute || left > 61*time.Second {
			t.Errorf("the lease has %v left, want up to 61s", left)
		}
		close(slow.open)
		want(t, <-call, "v")
	})
}

func TestAMissWaitsNoLongerThanWaitTimeout(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		busy, src := newCache[string](t, s), newSource("busy")
		slow, first := slowLoad(t, busy, src, "1")
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.WaitTimeout = 50 * time.Millisecond })
		want(t, get(t, c, newSource("impatient"), "1"), "impatient")
		if got := stored(t, s, "1"); got != "" {
			t.Errorf("a load without the lease stored %s", got)
		}
		close(slow.open)
		want(t, <-first, "busy")
		if got := stored(t, s, "1"); got != `"busy"` {
			t.Errorf("Redis holds %s, want the leaseholder's value", got)
		}
	})
}

// The process stood still between its load and its fill, for longer than its
// lease lived.
func TestAFillAfterItsLeaseIsRefused(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		short := func(cfg *cache.Config) { cfg.LoadTimeout = time.Millisecond * 50 }
		fresh := newCache[string](t, s, short)
		warm(t, fresh)
		var scripts int
		fills, goOn := make(chan struct{}), make(chan struct{})
		late := newCacheOn[string](t, s, s.Hooked(func(next func() error, names ...string) error {
			if names[0] == "evalsha" {
				if scripts++; scripts == 2 {
					close(fills)
					<-goOn
				}
			}
			return next()
		}), short)
		old := redistest.Async(func() (string, error) { return late.GetOrLoad(t.Context(), "1", newSource("old").load) })
		<-fills
		s.Advance(1100 * time.Millisecond)
		want(t, get(t, fresh, newSource("new"), "1"), "new")
		close(goOn)
		want(t, <-old, "old")
		if got := stored(t, s, "1"); got != `"new"` {
			t.Errorf("Redis holds %s, want the newer value", got)
		}
		if got := late.Stats().Fills; got != 0 {
			t.Errorf("%d fills without a lease", got)
		}
	})
}

func TestALeaseOfADeadProcessDoesNotBlockForTheTimeThatAClockWasSetBack(t *testing.T) {
	t.Parallel()
	redistest.RunWithClock(t, func(t *testing.T, s *redistest.Server) {
		child := redistest.Spawn(t, holder, s.Addr(), s.Prefix()+":*:list")
		if got := child.Line(); got != "loading" {
			t.Fatal(got)
		}
		child.Kill()
		s.StepClock(-time.Hour)
		c, src := newCache[string](t, s), newSource("v")
		want(t, get(t, c, src, "1"), "v")
		if got := c.Stats(); got.Fills != 1 {
			t.Errorf("stats = %+v, want a fill", got)
		}
	})
}

func TestARememberedAbsenceDoesNotLastForTheTimeThatAClockWasSetBack(t *testing.T) {
	t.Parallel()
	redistest.RunWithClock(t, func(t *testing.T, s *redistest.Server) {
		c := newCache[string](t, s, func(cfg *cache.Config) { cfg.NegativeTTL = time.Minute })
		missing := func(context.Context, string) (string, error) { return "", cache.ErrNotFound }
		for range 2 {
			if _, err := c.GetOrLoad(t.Context(), "1", missing); !errors.Is(err, cache.ErrNotFound) {
				t.Fatal(err)
			}
		}
		if got := c.Stats().NegativeHits; got != 1 {
			t.Errorf("%d negative hits, want 1", got)
		}
		s.StepClock(-time.Hour)
		want(t, get(t, c, newSource("v"), "1"), "v")
	})
}
