package cache_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

var rounds = flag.Int("rounds", 1000, "how many keys TestNoReaderIsStaleOnceWritersRest has written and read")

type getter func(ctx context.Context, id string) (string, error)

// A contest is some keys that writers change at random while readers read them.
type contest struct {
	s    *redistest.Server
	ids  []string
	get  getter
	last atomic.Int64
}

func (c *contest) value() string { return fmt.Sprintf(`"%d"`, c.last.Add(1)) }

// change does something to each key, in an order of its own.
func (c *contest) change(ctx context.Context, rdb *redis.Client) error {
	for _, i := range rand.Perm(len(c.ids)) {
		key := keyOf(c.s, c.ids[i])
		var err error
		switch rand.IntN(6) {
		case 0:
			err = rdb.Del(ctx, key).Err()
		case 1:
			err = rdb.Set(ctx, key, c.value(), time.Duration(1+rand.IntN(20))*time.Millisecond).Err()
		case 2:
			err = rdb.PExpire(ctx, key, time.Duration(1+rand.IntN(20))*time.Millisecond).Err()
		default:
			err = rdb.Set(ctx, key, c.value(), time.Minute).Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// changeByCLI does the same with a client in another language.
func (c *contest) changeByCLI(ctx context.Context) error {
	var script strings.Builder
	for _, i := range rand.Perm(len(c.ids)) {
		key := keyOf(c.s, c.ids[i])
		switch rand.IntN(4) {
		case 0:
			fmt.Fprintf(&script, "UNLINK %s\n", key)
		case 1:
			fmt.Fprintf(&script, "SET %s '%s' PX %d\n", key, c.value(), 1+rand.IntN(20))
		default:
			fmt.Fprintf(&script, "SETEX %s 60 '%s'\n", key, c.value())
		}
	}
	_, port, _ := strings.Cut(c.s.Addr(), ":")
	cli := exec.CommandContext(ctx, "redis-cli", "-p", port)
	cli.Stdin = strings.NewReader(script.String())
	return cli.Run()
}

// run has readers at the keys while writers change them and until settled.
func (c *contest) run(ctx context.Context, settled func() error) error {
	var writers, readers sync.WaitGroup
	var failed atomic.Pointer[error]
	note := func(err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	}
	rest := make(chan struct{})
	for range 16 {
		readers.Go(func() {
			for {
				id := c.ids[rand.IntN(len(c.ids))]
				if _, err := c.get(ctx, id); err != nil && !errors.Is(err, cache.ErrMiss) {
					note(err)
					return
				}
				select {
				case <-rest:
					return
				default:
				}
			}
		})
	}
	for range 2 {
		rdb := c.s.Client()
		writers.Go(func() { note(c.change(ctx, rdb)) })
	}
	writers.Go(func() { note(c.changeByCLI(ctx)) })
	writers.Wait()
	note(settled())
	close(rest)
	readers.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// stale counts the keys of which a reader sees what Redis does not hold.
func (c *contest) stale(ctx context.Context, rdb *redis.Client) (stale, kept int) {
	for _, id := range c.ids {
		// In this order a value that expires meanwhile is no contradiction.
		held := rdb.Get(ctx, keyOf(c.s, id)).Val()
		seen, err := c.get(ctx, id)
		if err == nil && `"`+seen+`"` != held {
			stale++
		}
		if err == nil {
			kept++
		}
	}
	return stale, kept
}

// stale has n keys changed and read, some hundred at a time, and says how many
// of them a reader of a near cache still sees wrong when all has been announced.
// Replies arrive up to a millisecond late, so that reads and changes overlap.
func stale(t *testing.T, n int, get func(*cache.Cache[string]) getter) int {
	t.Helper()
	redistest.Require(t, "redis-cli") // one of the writers
	s, ctx := redistest.Real(t), t.Context()
	rdb := s.Hooked(func(next func() error, _ ...string) error {
		err := next()
		time.Sleep(rand.N(time.Millisecond))
		return err
	})
	c := newLocalOn[string](t, s, rdb, func(cfg *cache.Config) { cfg.Local.MaxEntries = 2000 })
	writer, total, hits := s.Client(), 0, c.Stats().LocalHits
	for batch := 0; n > 0; batch++ {
		m := &contest{s: s, get: get(c)}
		for i := range min(n, 250) {
			m.ids = append(m.ids, fmt.Sprintf("%d-%d", batch, i))
		}
		n -= len(m.ids)
		if err := m.run(ctx, func() error { return settled(ctx, c, s, writer, "mark 1", "mark 2", "mark 3") }); err != nil {
			t.Fatal(err)
		}
		wrong, kept := m.stale(ctx, writer)
		total += wrong
		if kept == 0 {
			t.Error("no key was left with a value")
		}
	}
	if got := c.Stats(); got.LocalHits == hits || got.LocalState != cache.LocalTracking {
		t.Errorf("stats = %+v, want hits of a near cache", got)
	}
	return total
}

// settled returns when all that was written has been announced to c: changes of
// further keys, which it has kept, come after that.
func settled(ctx context.Context, c *cache.Cache[string], s *redistest.Server, writer *redis.Client, ids ...string) error {
	for _, id := range ids {
		for hits := c.Stats().LocalHits; c.Stats().LocalHits == hits; {
			if err := writer.Set(ctx, keyOf(s, id), `"old"`, time.Minute).Err(); err != nil {
				return err
			}
			for range 10 {
				_, _ = c.Get(ctx, id)
			}
		}
		if err := writer.Set(ctx, keyOf(s, id), `"new"`, time.Minute).Err(); err != nil {
			return err
		}
		for v := ""; v != "new"; v, _ = c.Get(ctx, id) {
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

func TestNoReaderIsStaleOnceWritersRest(t *testing.T) {
	t.Parallel()
	if n := stale(t, *rounds, func(c *cache.Cache[string]) getter { return c.Get }); n != 0 {
		t.Errorf("%d of %d keys are stale", n, *rounds)
	}
}

// The test above catches what it is there for.
func TestAClaimAfterTheReadIsCaught(t *testing.T) {
	t.Parallel()
	if n := stale(t, 1000, func(c *cache.Cache[string]) getter { return c.GetClaimingLate }); n == 0 {
		t.Error("no key is stale, though reads are kept that changes have overtaken")
	}
}
