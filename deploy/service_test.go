package deploy

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/ratelimit"
	"github.com/convkit/rediskit/secrets"
	"github.com/convkit/rediskit/session"
)

// config returns how a service connects: with the password's file, and without a user.
func (s *stack) config(service string) rediskit.Config {
	const timeout = 10 * time.Second // the machine may be busy
	return rediskit.Config{
		Addrs:       []string{s.containers[service].server.Addr()},
		Password:    secrets.File(filepath.Join(s.dir, "secrets", "redis_password.txt")),
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
	}
}

func (s *stack) dial(ctx context.Context, service string, tune ...func(*redis.UniversalOptions)) (redis.UniversalClient, error) {
	cfg := s.config(service)
	cfg.NoEviction = service == "redis-state"
	cfg.OnError = func(_ context.Context, err error) { s.t.Errorf("the client of %s reports: %v", service, err) }
	cfg.Tune = func(o *redis.UniversalOptions) {
		for _, f := range tune {
			f(o)
		}
	}
	return rediskit.Connect(ctx, cfg)
}

func (s *stack) connect(service string, tune ...func(*redis.UniversalOptions)) redis.UniversalClient {
	s.t.Helper()
	rdb, err := s.dial(s.t.Context(), service, tune...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { rdb.Close() })
	return rdb
}

func useCache(t testing.TB, rdb redis.UniversalClient) {
	t.Helper()
	useOneCache(t, rdb, cache.Config{Key: "conversations:*:list"})
	useOneCache(t, rdb, cache.Config{Key: "cache:*", NegativeTTL: time.Minute, RefreshAhead: time.Minute, StaleFor: time.Hour})
	useOneCache(t, rdb, cache.Config{Key: "conversations:*:list", Local: cache.Local{MaxEntries: 100}})
}

func useOneCache(t testing.TB, rdb redis.UniversalClient, cfg cache.Config) {
	t.Helper()
	ctx := t.Context()
	cfg.TTL = 5 * time.Minute
	cfg.OnError = func(_ context.Context, err error) { t.Errorf("the cache reports: %v", err) }
	conversations, err := cache.New[[]string](rdb, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conversations.Close()
	load := func(_ context.Context, id string) ([]string, error) {
		switch id {
		case "nobody":
			return nil, cache.ErrNotFound
		case "broken":
			return nil, errLoad
		}
		return []string{id}, nil
	}
	if cfg.Local.MaxEntries > 0 {
		redistest.Eventually(t, func() bool {
			_, _ = conversations.Get(ctx, "nobody")
			return conversations.Stats().LocalState == cache.LocalTracking || ctx.Err() != nil
		}, "the near cache tracks changes")
	}
	for range 2 {
		for id, want := range map[string]error{"user_1": nil, "nobody": cache.ErrNotFound, "broken": errLoad} {
			if _, err := conversations.GetOrLoad(ctx, id, load); !errors.Is(err, want) {
				t.Errorf("GetOrLoad of %s: %v, want %v", id, err, want)
			}
		}
	}
	_, err = conversations.GetMany(ctx, []string{"user_1", "user_2"})
	ok(t, err)
	_, err = conversations.GetOrLoadMany(ctx, []string{"user_1", "user_2"}, func(_ context.Context, ids []string) (map[string][]string, error) {
		found := map[string][]string{}
		for _, id := range ids {
			found[id] = []string{id}
		}
		return found, nil
	})
	ok(t, err)
	ok(t, conversations.Set(ctx, "user_3", []string{"x"}))
	ok(t, conversations.SetMany(ctx, map[string][]string{"user_4": {"x"}, "user_5": {"y"}}))
	ok(t, conversations.Delete(ctx, "user_3"))
	_, err = conversations.Clear(ctx, nil)
	ok(t, err)
}

var errLoad = errors.New("no database")

type talk struct {
	Speaker string    `redis:"speaker_id"`
	Last    time.Time `redis:"last_activity,touch"`
	State   string    `redis:"state"`
	Note    *string   `redis:"note"`
}

func useState(t testing.TB, rdb redis.UniversalClient) {
	t.Helper()
	ctx := t.Context()
	onError := func(_ context.Context, err error) { t.Errorf("OnError receives: %v", err) }

	sessions, err := session.New[talk](rdb, session.Config{Key: "session:*", TTL: 5 * time.Minute, MaxLifetime: time.Hour, OnError: onError})
	ok(t, err)
	ok(t, sessions.Create(ctx, "1", talk{Speaker: "user_1", State: "waiting"}))
	_, err = sessions.Get(ctx, "1")
	ok(t, err)
	_, err = sessions.Touch(ctx, "1")
	ok(t, err)
	note := "a field that is removed again"
	for _, note := range []*string{&note, nil} {
		_, err = sessions.Update(ctx, "1", func(v *talk) error { v.Note = note; return nil })
		ok(t, err)
	}
	state, err := session.FieldOf[string](sessions, "state")
	ok(t, err)
	_, err = state.Transition(ctx, "1", "waiting", "answered")
	ok(t, err)
	for _, err := range sessions.All(ctx) {
		ok(t, err)
	}
	_, err = sessions.Count(ctx)
	ok(t, err)
	ok(t, sessions.Put(ctx, "1", talk{}))
	ok(t, sessions.Delete(ctx, "1"))

	for _, policies := range [][]ratelimit.Policy{
		{ratelimit.PerMinute(100), ratelimit.SlidingWindow(50, time.Second)},
		{ratelimit.GCRA(10, time.Second, 10)},
	} {
		limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*", OnError: onError}, policies...)
		ok(t, err)
		for range 2 {
			_, err = limiter.Allow(ctx, "user_1")
			ok(t, err)
			_, err = limiter.Peek(ctx, "user_1")
			ok(t, err)
		}
		ok(t, rdb.Set(ctx, "rate_limit:user_2", 5, 0).Err()) // whose EXPIRE was lost
		_, err = limiter.Allow(ctx, "user_2")
		ok(t, err)
		ok(t, limiter.Reset(ctx, "user_1"))
	}

	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 1500 * time.Millisecond, OnError: onError})
	ok(t, err)
	defer locks.Close()
	held, err := locks.Try(ctx, "conversation:1")
	ok(t, err)
	_, err = held.Fence(ctx)
	ok(t, err)
	waited := make(chan error, 1)
	go func() {
		waited <- locks.Do(ctx, "conversation:1", func(context.Context, *lock.Lock) error { return nil })
	}()
	redistest.Eventually(t, func() bool { return locks.Stats().Renewals > 0 || ctx.Err() != nil }, "the lock is renewed")
	ok(t, held.Release(ctx))
	ok(t, <-waited)

	hub, err := pubsub.ListenPattern[string](ctx, rdb, "conversation:*", pubsub.Config{OnError: onError, ProbeEvery: 50 * time.Millisecond})
	ok(t, err)
	defer hub.Close()
	updates, err := pubsub.NewTopic[string](rdb, "conversation:updates", pubsub.Config{History: pubsub.History{Messages: 8}, OnError: onError})
	ok(t, err)
	other, err := updates.Listen(ctx)
	ok(t, err)
	defer other.Close()
	sub := other.Subscribe()
	defer sub.Close()
	_, err = updates.Publish(ctx, "message_received")
	ok(t, err)
	_, err = sub.Next(ctx)
	ok(t, err)
}

// useAsOtherLanguages sends what services in other languages send.
func useAsOtherLanguages(t testing.TB, instance string, rdb redis.UniversalClient) {
	t.Helper()
	ctx := t.Context()
	if instance != "state" {
		ok(t, rdb.SetEx(ctx, "conversations:user_1:list", "[]", 300*time.Second).Err())
		ok(t, rdb.Get(ctx, "conversations:user_1:list").Err())
		ok(t, rdb.TTL(ctx, "conversations:user_1:list").Err())
	}
	if instance != "cache" {
		ok(t, rdb.HSet(ctx, "session:1", "speaker_id", "user_1", "state", "waiting_for_llm").Err())
		ok(t, rdb.Expire(ctx, "session:1", 300*time.Second).Err())
		ok(t, rdb.HGetAll(ctx, "session:1").Err())
		ok(t, rdb.Incr(ctx, "rate_limit:user_1").Err())
		ok(t, rdb.TTL(ctx, "rate_limit:user_1").Err())
		ok(t, rdb.SetNX(ctx, "lock:conversation:1", "locked", 10*time.Second).Err())
		ok(t, rdb.Del(ctx, "lock:conversation:1").Err())
		ok(t, rdb.Publish(ctx, "conversation:updates", "{}").Err())
		for _, sub := range []*redis.PubSub{rdb.Subscribe(ctx, "conversation:updates"), rdb.PSubscribe(ctx, "conversation:*")} {
			_, err := sub.Receive(ctx)
			ok(t, err)
			ok(t, sub.Unsubscribe(ctx))
			ok(t, sub.PUnsubscribe(ctx))
			_, err = sub.Receive(ctx)
			ok(t, err)
			ok(t, sub.Close())
		}
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
