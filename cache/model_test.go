package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

// A row is one object of the model's source. Its versions only rise; every
// seventh says that the object does not exist.
type row struct {
	writers sync.RWMutex // a Set excludes other writes, Deletes do not

	now   atomic.Int64 // the version in the source
	floor atomic.Int64 // readers that begin now see no older one
}

func absent(version int64) bool { return version%7 == 0 }

// raise notes that version has been made known to the cache.
func (r *row) raise(version int64) {
	for {
		old := r.floor.Load()
		if version <= old || r.floor.CompareAndSwap(old, version) {
			return
		}
	}
}

// check says what is wrong with an answer to a call that began when the
// floor was at low.
func (r *row) check(low, got int64, err error) error {
	switch {
	case errors.Is(err, errFlaky), errors.Is(err, cache.ErrMiss):
		return nil
	case errors.Is(err, cache.ErrNotFound):
		for version := low; version <= r.now.Load(); version++ {
			if absent(version) {
				return nil
			}
		}
		return fmt.Errorf("absent, though it existed in every version since %d", low)
	case err != nil:
		return err
	case got < low:
		return fmt.Errorf("version %d, though %d had been made known before the call", got, low)
	}
	return nil
}

var errFlaky = errors.New("the database is flaky")

// model is a source of rows with several processes' caches over it.
type model struct {
	rows   map[string]*row
	caches []*cache.Cache[int64]
}

func (m *model) load(_ context.Context, id string) (int64, error) {
	version := m.rows[id].now.Load()
	time.Sleep(rand.N(2 * time.Millisecond)) // the query's result is under way
	switch {
	case rand.IntN(10) == 0:
		return 0, errFlaky
	case absent(version):
		return 0, cache.ErrNotFound
	}
	return version, nil
}

func (m *model) loadMany(ctx context.Context, ids []string) (map[string]int64, error) {
	found := map[string]int64{}
	for _, id := range ids {
		switch version, err := m.load(ctx, id); {
		case err == nil:
			found[id] = version
		case errors.Is(err, errFlaky):
			return found, err
		}
	}
	return found, nil
}

// step does one thing to one row, through one of the caches.
func (m *model) step(ctx context.Context, rng *rand.Rand) error {
	id := strconv.Itoa(rng.IntN(len(m.rows)))
	r, c := m.rows[id], m.caches[rng.IntN(len(m.caches))]
	switch n := rng.IntN(20); {
	case n < 3:
		r.writers.RLock()
		defer r.writers.RUnlock()
		version := r.now.Add(1)
		if err := c.Delete(ctx, id); err != nil {
			return err
		}
		r.raise(version)
	case n < 4:
		r.writers.Lock()
		defer r.writers.Unlock()
		version := r.now.Add(1)
		if absent(version) {
			version = r.now.Add(1)
		}
		if err := c.Set(ctx, id, version); err != nil {
			return err
		}
		r.raise(version)
	case n < 6:
		low := r.floor.Load()
		got, err := c.Get(ctx, id)
		return r.check(low, got, err)
	case n < 8:
		lows, ids := map[string]int64{}, []string{}
		for id, r := range m.rows {
			lows[id], ids = r.floor.Load(), append(ids, id)
		}
		got, err := c.GetOrLoadMany(ctx, ids, m.loadMany)
		for id, low := range lows {
			version, ok := got[id]
			wrong := err
			if !ok && err == nil {
				wrong = cache.ErrNotFound
			}
			if ok {
				wrong = nil
			}
			if err := m.rows[id].check(low, version, wrong); err != nil {
				return err
			}
		}
	default:
		low := r.floor.Load()
		got, err := c.GetOrLoad(ctx, id, m.load)
		return r.check(low, got, err)
	}
	return nil
}

// late sends what a client may send again once more, some time later, as a
// socket that was stuck does.
func late(ctx context.Context, all *sync.WaitGroup, through *redis.Client) redistest.Spy {
	return func(cmd redis.Cmder) {
		if args := cmd.Args(); cmd.Name() == "evalsha" && !cmd.NoRetry() && rand.IntN(5) == 0 {
			all.Go(func() {
				time.Sleep(rand.N(5 * time.Millisecond))
				_ = through.Do(ctx, args...).Err()
			})
		}
	}
}

// Whatever happens at once, and in several processes: a read that begins
// after a Delete or a Set has returned never sees what was before it.
func TestNoReadIsOlderThanTheLastInvalidation(t *testing.T) {
	t.Parallel()
	negative := func(cfg *cache.Config) { cfg.NegativeTTL = 10 * time.Millisecond }
	everything := func(cfg *cache.Config) {
		cfg.TTL, cfg.Jitter, cfg.RefreshAhead = 20*time.Millisecond, 0.3, 8*time.Millisecond
		cfg.StaleFor, cfg.NegativeTTL = 50*time.Millisecond, 10*time.Millisecond
	}
	// Other processes' changes reach a near cache a little later, its own at once.
	local := func(cfg *cache.Config) { cfg.Local = cache.Local{MaxEntries: 2, ReadOnly: true, Untracked: true} }
	for name, test := range map[string]struct {
		processes int
		set       []func(*cache.Config)
	}{
		"plain":                  {3, nil},
		"negative":               {3, []func(*cache.Config){negative}},
		"everything":             {3, []func(*cache.Config){everything}},
		"local":                  {1, []func(*cache.Config){local}},
		"local, with everything": {1, []func(*cache.Config){local, everything}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redistest.Run(t, func(t *testing.T, s *redistest.Server) {
				const workers, steps = 12, 150
				m := &model{rows: map[string]*row{}}
				for i := range 3 {
					m.rows[strconv.Itoa(i)] = &row{}
					m.rows[strconv.Itoa(i)].now.Store(1)
				}
				var copies sync.WaitGroup
				t.Cleanup(copies.Wait) // after the caches, whose renewals may still send
				for range test.processes {
					rdb := s.Client()
					rdb.AddHook(late(context.Background(), &copies, s.Client()))
					m.caches = append(m.caches, newCacheOn[int64](t, s, rdb, append(test.set, func(cfg *cache.Config) {
						cfg.WaitTimeout = 3 * time.Millisecond // now and then a load goes without a lease
					})...))
				}
				if test.processes == 1 {
					inUse(t, m.caches[0])
				}
				seed := rand.Uint64()
				var all sync.WaitGroup
				for worker := range uint64(workers) {
					all.Go(func() {
						rng := rand.New(rand.NewPCG(seed, worker))
						for range steps {
							if err := m.step(t.Context(), rng); err != nil {
								t.Errorf("seed %d: %v", seed, err)
								return
							}
						}
					})
				}
				all.Wait()
				if c := m.caches[0]; test.processes == 1 && c.Stats().LocalHits == 0 {
					t.Error("no read was answered by the near cache")
				}
			})
		})
	}
}
