package deploy

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/metrics"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/ratelimit"
	"github.com/convkit/rediskit/session"
)

// A watchedService uses both instances all the time, with all packages of the library. A
// test can make it fail in several ways.
type watchedService struct {
	lists     *cache.Cache[string]
	copies    *cache.Cache[string] // in the process, and verified
	sessions  *session.Store[talk]
	limiter   *ratelimit.Limiter
	locks     *lock.Locker
	topic     *pubsub.Topic[string]
	hub       *pubsub.Hub[string]
	slow      *pubsub.Subscription[string]
	tiny      redis.UniversalClient // has one connection, which is in use
	collector *metrics.Collector

	missing atomic.Bool  // read ids that are not cached
	changes atomic.Int64 // of a source
}

func newWatchedService(t *testing.T, s *stack) *watchedService {
	t.Helper()
	w := &watchedService{}
	cacheDB, stateDB := s.connect("redis"), s.connect("redis-state")
	w.tiny = s.connect("redis", func(o *redis.UniversalOptions) {
		o.PoolSize, o.PoolTimeout = 1, 10*time.Millisecond
	})
	taken := w.tiny.(*redis.Client).Conn()
	ok(t, taken.Ping(t.Context()).Err())
	t.Cleanup(func() { taken.Close() })

	var err error
	w.lists, err = cache.New[string](cacheDB, cache.Config{Key: "conversations:*:list", TTL: time.Minute})
	ok(t, err)
	w.copies, err = cache.New[string](cacheDB, cache.Config{
		Key: "cache:copy:*", TTL: time.Minute, Local: cache.Local{MaxEntries: 100}, Verify: cache.Verify{OneIn: 1, Source: time.Millisecond},
	})
	ok(t, err)
	w.sessions, err = session.New[talk](stateDB, session.Config{Key: "session:*", TTL: time.Minute})
	ok(t, err)
	w.limiter, err = ratelimit.New(stateDB, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.PerMinute(100))
	ok(t, err)
	w.locks, err = lock.New(stateDB, lock.Config{Key: "lock:*"})
	ok(t, err)
	w.topic, err = pubsub.NewTopic[string](stateDB, "conversation:updates", pubsub.Config{Buffer: 8})
	ok(t, err)
	w.hub, err = w.topic.Listen(t.Context())
	ok(t, err)
	w.slow = w.hub.Subscribe()
	w.collector, err = metrics.NewCollector(w.lists, w.copies, w.sessions, w.limiter, w.locks, w.topic, w.hub,
		metrics.Pool("cache", cacheDB), metrics.Pool("state", stateDB), metrics.Pool("tiny", w.tiny))
	ok(t, err)
	ok(t, w.lists.Set(t.Context(), "known", "[]"))

	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	working.Go(func() { w.work(ctx) })
	t.Cleanup(func() {
		cancel()
		working.Wait()
		ok(t, errors.Join(w.hub.Close(), w.locks.Close(), w.lists.Close(), w.copies.Close()))
	})
	return w
}

// work makes the traffic until ctx ends. The metrics count its failures.
func (w *watchedService) work(ctx context.Context) {
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	load := func(context.Context, string) (string, error) { return "[]", nil }
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		id := strconv.Itoa(i)
		_, _ = w.lists.Get(ctx, "known")
		_, _ = w.copies.GetOrLoad(ctx, "known", load)
		if w.missing.Load() {
			for n := range 5 {
				_, _ = w.lists.GetOrLoad(ctx, id+"/"+strconv.Itoa(n), load)
			}
		}
		if i%10 != 0 {
			continue
		}
		_, _ = w.limiter.Allow(ctx, "eager")
		_, _ = w.limiter.Allow(ctx, id)
		_ = w.locks.TryDo(ctx, id, func(ctx context.Context, _ *lock.Lock) error {
			return w.sessions.Create(ctx, id, talk{Speaker: "speaker"})
		})
		_, _ = w.sessions.Touch(ctx, id)
		_, _ = w.topic.Publish(ctx, id)
	}
}

// forget reads a value whose source changes all the time, and deletes nothing.
func (w *watchedService) forget(t *testing.T) {
	t.Helper()
	_, err := w.copies.GetOrLoad(t.Context(), "forgotten", func(context.Context, string) (string, error) {
		return strconv.FormatInt(w.changes.Add(1), 10), nil
	})
	ok(t, err)
}

// loseLock takes a lock whose key admin then deletes.
func (w *watchedService) loseLock(t *testing.T, admin *redis.Client) {
	t.Helper()
	defer admin.Close()
	held, err := w.locks.Try(t.Context(), "mine")
	ok(t, err)
	ok(t, admin.Del(t.Context(), "lock:mine").Err())
	if err := held.Release(t.Context()); !errors.Is(err, lock.ErrLost) {
		t.Errorf("a lost lock was released: %v", err)
	}
}

// exhaust waits for a connection and gets none.
func (w *watchedService) exhaust() { w.tiny.Ping(context.Background()) }

// overrun publishes more than a subscription buffers, until it has read a gap or a second
// has passed.
func (w *watchedService) overrun(t *testing.T) {
	t.Helper()
	for range 20 {
		_, err := w.topic.Publish(t.Context(), "x")
		ok(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for {
		_, err := w.slow.Next(ctx)
		var gap *pubsub.GapError
		if errors.As(err, &gap) || ctx.Err() != nil {
			return
		}
	}
}
