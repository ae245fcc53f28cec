package deploy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/ratelimit"
)

func TestARotationFailsNoRequestAndBreaksNoSubscription(t *testing.T) {
	t.Parallel()
	s := up(t, "compose.yaml")
	old := s.password("default")
	renewed := func(o *redis.UniversalOptions) { o.ConnMaxLifetime = 20 * time.Millisecond } // so that most commands need a new connection
	values, state := s.connect("redis", renewed), s.connect("redis-state", renewed)

	conversations, err := cache.New[string](values, cache.Config{Key: "conversations:*:list", TTL: time.Minute})
	ok(t, err)
	defer conversations.Close()
	locks, err := lock.New(state, lock.Config{Key: "lock:*", TTL: 10 * time.Second})
	ok(t, err)
	defer locks.Close()
	limiter, err := ratelimit.New(state, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.PerSecond(1_000_000))
	ok(t, err)
	updates, err := pubsub.NewTopic[int](state, "conversation:updates", pubsub.Config{})
	ok(t, err)
	hub, err := updates.Listen(t.Context())
	ok(t, err)
	defer hub.Close()
	sub := hub.Subscribe()

	work := newWork(t)
	work.repeat("receive", func(ctx context.Context, i int) error {
		m, err := sub.Next(ctx)
		if err == nil && m.Value != i {
			err = fmt.Errorf("message %d where %d was due", m.Value, i)
		}
		return err // a gap is an error too
	})
	work.repeat("cache", func(ctx context.Context, i int) error {
		id := strconv.Itoa(i % 10)
		if i%3 == 0 {
			return conversations.Delete(ctx, id)
		}
		_, err := conversations.GetOrLoad(ctx, id, func(context.Context, string) (string, error) { return "x", nil })
		return err
	})
	work.repeat("lock", func(ctx context.Context, _ int) error {
		return locks.Do(ctx, "conversation:1", func(context.Context, *lock.Lock) error { return nil })
	})
	work.repeat("limiter", func(ctx context.Context, _ int) error {
		res, err := limiter.Allow(ctx, "user_1")
		if err == nil {
			err = res.Err
		}
		return err
	})
	work.repeat("publish", func(ctx context.Context, i int) error {
		_, err := updates.Publish(ctx, i)
		return err
	})
	work.repeat("a new client", func(ctx context.Context, _ int) error {
		rdb, err := s.dial(ctx, "redis")
		if err != nil {
			return err
		}
		defer rdb.Close()
		return rdb.Get(ctx, "conversations:none:list").Err()
	})
	work.awaitEach()
	s.run("go run ./passwords rotate -grace 500ms default")
	work.awaitEach() // after the old password has been removed
	work.stop()

	if s.password("default") == old {
		t.Error("the password is the old one")
	}
	s.refusesOnly(old)
	s.run("docker compose restart redis redis-state")
	s.refusesOnly(old)
}

// refusesOnly checks that both instances refuse the password old and accept the current
// one.
func (s *stack) refusesOnly(old string) {
	s.t.Helper()
	for service := range s.containers {
		for password, want := range map[string]string{old: "WRONGPASS", s.password("default"): ""} {
			err := s.client(service, "", func(o *redis.Options) { o.Password = password }).Ping(s.t.Context()).Err()
			if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
				s.t.Errorf("%s answers %v, want %q", service, err, want)
			}
		}
	}
}

func TestAKeptPasswordIsValidUntilItIsRetired(t *testing.T) {
	t.Parallel()
	s := up(t, "compose.yaml")
	old := s.password("default")
	s.run("go run ./passwords rotate -keep default")
	both := func() {
		t.Helper()
		for service := range s.containers {
			for _, password := range []string{old, s.password("default")} {
				ok(t, s.client(service, "", func(o *redis.Options) { o.Password = password }).Ping(t.Context()).Err())
			}
		}
	}
	both()
	s.run("docker compose restart redis redis-state")
	both()
	s.run("go run ./passwords init") // which removes no password
	s.run("docker compose restart redis redis-state")
	both()
	s.run("go run ./passwords retire default")
	s.refusesOnly(old)
}

func TestRotateAlsoChangesThePasswordsOfAdminAndExporter(t *testing.T) {
	t.Parallel()
	s := up(t, "compose.yaml")
	for _, user := range []string{"admin", "exporter"} {
		old := s.password(user)
		s.run("go run ./passwords rotate -grace 1ms " + user)
		if s.password(user) == old {
			t.Errorf("the password of %s is the old one", user)
		}
		ok(t, s.client("redis", user).Info(t.Context()).Err())
	}
	if !slices.Contains(s.dockerArgs(), "restart") || !slices.Contains(s.dockerArgs(), "redis-exporter") {
		t.Error("the exporter, which reads its password when it starts, was not restarted")
	}
	if got := s.run("docker compose exec -T redis redis-admin PING"); got != "PONG\n" {
		t.Errorf("redis-admin prints %q", got)
	}
}

// work runs goroutines. Each repeats one call, and no call may fail.
type work struct {
	t      *testing.T
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	count  map[string]int // how often each call has succeeded
}

func newWork(t *testing.T) *work {
	w := &work{t: t, count: map[string]int{}}
	w.ctx, w.cancel = context.WithCancel(t.Context())
	t.Cleanup(w.stop)
	return w
}

func (w *work) repeat(name string, once func(context.Context, int) error) {
	w.count[name] = 0
	w.wg.Go(func() {
		for i := 0; w.ctx.Err() == nil; i++ {
			err := once(w.ctx, i)
			if w.ctx.Err() != nil {
				return
			}
			if err != nil && err != redis.Nil {
				w.t.Errorf("%s: %v", name, err)
				return
			}
			w.mu.Lock()
			w.count[name]++
			w.mu.Unlock()
			time.Sleep(time.Millisecond) // leaves time for other tests
		}
	})
}

func (w *work) done(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count[name]
}

// awaitEach waits until every goroutine has made a few more calls.
func (w *work) awaitEach() {
	w.t.Helper()
	w.mu.Lock()
	want := map[string]int{}
	for name, n := range w.count {
		want[name] = n + 5
	}
	w.mu.Unlock()
	for name, n := range want {
		redistest.Eventually(w.t, func() bool { return w.t.Failed() || w.done(name) >= n }, name, " goes on")
	}
}

func (w *work) stop() {
	w.cancel()
	w.wg.Wait()
}
