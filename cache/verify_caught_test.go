package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

// checkSome checks a thousand of the 10,000 hits of a second.
func checkSome(cfg *cache.Config) {
	cfg.Local.MaxEntries = 100_000 // so that an announcement says nothing of other ids
	cfg.Verify.OneIn = 10
}

// traffic is a thousand ids that another program changes 500 times a second, each twice,
// and that get reads 10,000 times a second. Half of the reads are of the id that was
// changed last.
type traffic struct {
	s      *redistest.Server
	writer *redis.Client
	get    getter
	last   atomic.Int64
}

const trafficIDs = 1000

// write changes ids until ctx ends, with change.
func (tr *traffic) write(ctx context.Context, change func(key string) error) error {
	for n := 0; ctx.Err() == nil; n++ {
		i := rand.Int64N(trafficIDs)
		key := keyOf(tr.s, fmt.Sprint(i))
		tr.last.Store(i)
		for range 2 {
			if err := change(key); err != nil && ctx.Err() == nil {
				return err
			}
			time.Sleep(rand.N(time.Millisecond))
		}
		time.Sleep(3 * time.Millisecond)
	}
	return nil
}

func (tr *traffic) set(key string) error {
	return tr.writer.Set(context.Background(), key, fmt.Sprintf(`"%d"`, rand.Uint64()), time.Minute).Err()
}

// changeSomehow does to a key what programs do.
func (tr *traffic) changeSomehow(key string) error {
	switch ctx := context.Background(); rand.IntN(6) {
	case 0:
		return tr.writer.Del(ctx, key).Err()
	case 1:
		return tr.writer.PExpire(ctx, key, rand.N(5*time.Second)).Err()
	case 2:
		return tr.writer.Set(ctx, key, `"short"`, time.Millisecond+rand.N(5*time.Second)).Err()
	}
	return tr.set(key)
}

// read reads for as many hits as a minute has, or until enough.
func (tr *traffic) read(ctx context.Context, enough func() bool) (reads int, err error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for reads < 600_000 && !enough() {
		for range 10 {
			i := rand.Int64N(trafficIDs)
			if rand.IntN(2) == 0 {
				i = tr.last.Load()
			}
			if _, err := tr.get(ctx, fmt.Sprint(i)); err != nil && !errors.Is(err, cache.ErrMiss) {
				return reads, err
			}
			reads++
		}
		<-tick.C
	}
	return reads, nil
}

// run writes and reads until enough, or for as many reads as a minute has.
func (tr *traffic) run(t *testing.T, change func(key string) error, enough func() bool) (reads int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writing sync.WaitGroup
	writing.Go(func() {
		if err := tr.write(ctx, change); err != nil {
			t.Error(err)
		}
	})
	reads, err := tr.read(ctx, enough)
	stop()
	writing.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return reads
}

// caught fails the test unless c finds a stale hit.
func (tr *traffic) caught(t *testing.T, c *cache.Cache[string]) {
	t.Helper()
	began := time.Now()
	reads := tr.run(t, tr.set, func() bool { return c.Stats().LocalStale > 0 })
	if got := c.Stats(); got.LocalStale == 0 {
		t.Errorf("nothing was found in %d reads: %+v", reads, got)
	}
	t.Logf("found after %v, %d reads", time.Since(began), reads)
}

func TestALostAnnouncementIsFound(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c := newCacheOn[string](t, s, s.Client(), localOn, checkSome)
	if err := c.LoseAnnouncements(1000); err != nil {
		t.Fatal(err)
	}
	inUse(t, c)
	tr := &traffic{s: s, writer: s.Client(), get: c.Get}
	tr.caught(t, c)
}

func TestAClaimAfterTheReadIsFound(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	slow := s.Hooked(func(next func() error, _ ...string) error { // so that reads and changes overlap
		err := next()
		time.Sleep(rand.N(time.Millisecond))
		return err
	})
	c := newLocalOn[string](t, s, slow, checkSome)
	tr := &traffic{s: s, writer: s.Client(), get: c.GetClaimingLate}
	tr.caught(t, c)
}

// diversion leads commands to another server, as after a failover. It leaves the connection
// that announces changes where it is.
type diversion struct {
	begun atomic.Bool
	to    *redis.Client
}

func (d *diversion) DialHook(next redis.DialHook) redis.DialHook { return next }

func (d *diversion) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if !d.begun.Load() {
			return next(ctx, cmd)
		}
		return d.to.Process(ctx, cmd)
	}
}

func (d *diversion) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if !d.begun.Load() {
			return next(ctx, cmds)
		}
		pipe := d.to.Pipeline()
		_ = pipe.BatchProcess(ctx, cmds...)
		_, err := pipe.Exec(ctx)
		return err
	}
}

func TestAnEpochThatOutlivesAFailoverIsFound(t *testing.T) {
	t.Parallel()
	s, promoted := redistest.Real(t), redistest.Start(t).Client()
	rdb, failover := s.Client(), &diversion{to: promoted}
	rdb.AddHook(failover)
	c := newLocalOn[string](t, s, rdb, checkSome)
	tr := &traffic{s: s, writer: s.Client(), get: c.Get}
	tr.run(t, tr.set, func() bool { return c.Stats().LocalSame > 0 })
	if got := c.Stats(); got.LocalStale != 0 {
		t.Errorf("before the failover: %+v", got)
	}
	tr.writer = promoted
	failover.begun.Store(true)
	tr.caught(t, c)
}

// Where nothing is wrong nothing is found, however values change.
func TestNothingIsFoundWhereNothingIsWrong(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	c := newLocal[string](t, s, checkSome, verified)
	tr := &traffic{s: s, writer: s.Client(), get: c.Get}
	checks := uint64(3000)
	reads := tr.run(t, tr.changeSomehow, func() bool { return c.Stats().LocalSame >= checks })
	if got := c.Stats(); got.LocalStale != 0 || got.LocalSame < checks || got.LocalChanged == 0 {
		t.Errorf("after %d reads: %+v", reads, got)
	}
}
