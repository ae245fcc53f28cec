package hostile

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/pubsub"
	"github.com/convkit/rediskit/ratelimit"
	"github.com/convkit/rediskit/session"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// A kit has an object of each package, all over one client.
type kit struct {
	rdb      redis.UniversalClient
	onError  redistest.Recorder // Config.OnError of all of them
	prefix   string
	caches   map[string]*cache.Cache[talk]
	sessions *session.Store[talk]
	state    *session.Field[phase, talk]
	locks    *lock.Locker
	limiters map[string]*ratelimit.Limiter
	topic    *pubsub.Topic[talk]
}

// A phase is a field that transitions change.
type phase string

// A talk is what the caches, sessions and topics of a kit hold.
type talk struct {
	Speaker string    `json:"speaker" redis:"speaker,required"`
	State   phase     `json:"state" redis:"state"`
	N       int       `json:"n" redis:"n"`
	Last    time.Time `json:"last" redis:"last,touch"`
}

// shortWait is how long a call may wait for a reply that does not arrive.
const shortWait = 30 * time.Millisecond

func newKit(t testing.TB, rdb redis.UniversalClient, prefix string) *kit {
	t.Helper()
	k := &kit{rdb: rdb, prefix: prefix, caches: map[string]*cache.Cache[talk]{}, limiters: map[string]*ratelimit.Limiter{}}
	for name, cfg := range map[string]cache.Config{
		"cache":       {},
		"whole cache": {NegativeTTL: time.Minute, RefreshAhead: 59 * time.Second, StaleFor: time.Minute, MaxValueBytes: 1000},
	} {
		cfg.Key, cfg.TTL, cfg.WaitTimeout, cfg.Name, cfg.OnError = prefix+":list:*", time.Minute, shortWait, name, k.onError.OnError
		c, err := cache.New[talk](rdb, cfg)
		must(t, err)
		t.Cleanup(func() { must(t, c.Close()) })
		k.caches[name] = c
	}
	var err error
	k.sessions, err = session.New[talk](rdb, session.Config{Key: prefix + ":session:*", TTL: time.Minute, MaxLifetime: time.Hour, OnError: k.onError.OnError})
	must(t, err)
	k.state, err = session.FieldOf[phase](k.sessions, "state")
	must(t, err)
	k.locks, err = lock.New(rdb, lock.Config{Key: prefix + ":lock:*", TTL: 100 * time.Millisecond, Poll: 10 * time.Millisecond, OnError: k.onError.OnError})
	must(t, err)
	t.Cleanup(func() { must(t, k.locks.Close()) })
	for name, policies := range map[string][]ratelimit.Policy{
		"windows": {ratelimit.PerMinute(10), ratelimit.SlidingWindow(100, time.Hour)},
		"GCRA":    {ratelimit.GCRA(10, time.Minute, 10)},
	} {
		l, err := ratelimit.New(rdb, ratelimit.Config{Key: prefix + ":" + name + ":*", WhenDown: ratelimit.Local, DenyCache: 10, OnError: k.onError.OnError}, policies...)
		must(t, err)
		k.limiters[name] = l
	}
	k.topic, err = pubsub.NewTopic[talk](rdb, prefix+":updates", pubsub.Config{OnError: k.onError.OnError})
	must(t, err)
	return k
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// errSource is the error of loaders that fail.
var errSource = errors.New("the source failed")

// calls returns all calls that reach Redis, by their names. Each passes id and v.
func (k *kit) calls(id string, v talk) map[string]func(context.Context) error {
	calls := map[string]func(context.Context) error{
		"session create": func(ctx context.Context) error { return k.sessions.Create(ctx, id, v) },
		"session put":    func(ctx context.Context) error { return k.sessions.Put(ctx, id, v) },
		"session get":    func(ctx context.Context) error { return errorOf(k.sessions.Get(ctx, id)) },
		"session touch":  func(ctx context.Context) error { return errorOf(k.sessions.Touch(ctx, id)) },
		"session update": func(ctx context.Context) error {
			return errorOf(k.sessions.Update(ctx, id, func(t *talk) error { t.N++; return nil }))
		},
		"session transition": func(ctx context.Context) error {
			return errorOf(k.state.Transition(ctx, id, phase("listening"), v.State))
		},
		"session delete": func(ctx context.Context) error { return k.sessions.Delete(ctx, id) },
		"session count":  func(ctx context.Context) error { return errorOf(k.sessions.Count(ctx)) },
		"session all": func(ctx context.Context) error {
			var errs []error
			for _, err := range k.sessions.All(ctx) {
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},

		"lock try": func(ctx context.Context) error {
			l, err := k.locks.Try(ctx, id)
			if err == nil {
				_ = l.Release(ctx)
			}
			return err
		},
		"lock fence": func(ctx context.Context) error {
			l, err := k.locks.Try(ctx, id)
			if err != nil {
				return err
			}
			_, err = l.Fence(ctx)
			return errors.Join(err, l.Release(ctx))
		},
		"lock do": func(ctx context.Context) error {
			return k.locks.Do(ctx, id, func(context.Context, *lock.Lock) error { return nil })
		},
		"lock held for long": func(ctx context.Context) error {
			return k.locks.TryDo(ctx, id, func(held context.Context, _ *lock.Lock) error {
				select {
				case <-held.Done():
				case <-ctx.Done():
				}
				return context.Cause(held)
			})
		},

		"publish":     func(ctx context.Context) error { return errorOf(k.topic.Publish(ctx, v)) },
		"publish all": func(ctx context.Context) error { return k.topic.PublishAll(ctx, v, v) },
		"check":       func(ctx context.Context) error { return errorOf(rediskit.Check(ctx, k.rdb)) },
	}
	for name, c := range k.caches {
		load := func(context.Context, string) (talk, error) { return v, nil }
		calls[name+" get"] = func(ctx context.Context) error { return errorOf(c.Get(ctx, id)) }
		calls[name+" get or load"] = func(ctx context.Context) error { return errorOf(c.GetOrLoad(ctx, id, load)) }
		calls[name+" fail to load"] = func(ctx context.Context) error {
			return errorOf(c.GetOrLoad(ctx, id, func(context.Context, string) (talk, error) { return talk{}, errSource }))
		}
		calls[name+" load an absent id"] = func(ctx context.Context) error {
			return errorOf(c.GetOrLoad(ctx, id, func(context.Context, string) (talk, error) { return talk{}, cache.ErrNotFound }))
		}
		calls[name+" get many"] = func(ctx context.Context) error { return errorOf(c.GetMany(ctx, []string{id, id + "2"})) }
		calls[name+" get or load many"] = func(ctx context.Context) error {
			return errorOf(c.GetOrLoadMany(ctx, []string{id, id + "2"}, func(context.Context, []string) (map[string]talk, error) {
				return map[string]talk{id: v}, nil
			}))
		}
		calls[name+" set"] = func(ctx context.Context) error { return c.Set(ctx, id, v) }
		calls[name+" set many"] = func(ctx context.Context) error { return c.SetMany(ctx, map[string]talk{id: v, id + "2": v}) }
		calls[name+" delete"] = func(ctx context.Context) error { return c.Delete(ctx, id, id+"2") }
		calls[name+" clear"] = func(ctx context.Context) error { return errorOf(c.Clear(ctx, nil)) }
	}
	for name, l := range k.limiters {
		calls[name+" allow"] = func(ctx context.Context) error {
			res, err := l.Allow(ctx, id)
			return errors.Join(err, res.Err)
		}
		calls[name+" allow many"] = func(ctx context.Context) error { return errorOf(l.AllowN(ctx, id, 10)) }
		calls[name+" peek"] = func(ctx context.Context) error {
			res, err := l.Peek(ctx, id)
			return errors.Join(err, res.Err)
		}
		calls[name+" reset"] = func(ctx context.Context) error { return l.Reset(ctx, id) }
	}
	return calls
}

// errorOf drops the result of a call.
func errorOf[T any](_ T, err error) error { return err }

// printed returns everything that can be printed of the kit.
func (k *kit) printed() string {
	text := fmt.Sprintf("%+v %+v %+v %+v", k.sessions.Stats(), k.locks.Stats(), k.topic.Stats(), k.topic.Name())
	for _, c := range k.caches {
		text += fmt.Sprintf("%+v %s", c.Stats(), c.Name())
	}
	for _, l := range k.limiters {
		text += fmt.Sprintf("%+v %s", l.Stats(), l.Name())
	}
	return text
}
