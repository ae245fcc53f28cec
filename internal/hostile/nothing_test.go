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
	"github.com/convkit/rediskit/secrets"
	"github.com/convkit/rediskit/session"
)

// Nothing, in the place of anything but a context and a receiver, is an error.
func TestNothingIsAnErrorAndNoPanic(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	rdb := redistest.Mini(t).Client()
	k := newKit(t, rdb, "kit")
	constructors := map[string]func(redis.UniversalClient) error{
		"cache":     func(c redis.UniversalClient) error { return second(cache.New[talk](c, cache.Config{})) },
		"session":   func(c redis.UniversalClient) error { return second(session.New[talk](c, session.Config{})) },
		"lock":      func(c redis.UniversalClient) error { return second(lock.New(c, lock.Config{})) },
		"ratelimit": func(c redis.UniversalClient) error { return second(ratelimit.New(c, ratelimit.Config{})) },
		"topic":     func(c redis.UniversalClient) error { return second(pubsub.NewTopic[talk](c, "", pubsub.Config{})) },
		"pattern": func(c redis.UniversalClient) error {
			return second(pubsub.ListenPattern[talk](ctx, c, "", pubsub.Config{}))
		},
		"check": func(c redis.UniversalClient) error { return second(rediskit.Check(ctx, c)) },
	}
	calls := map[string]func() error{
		"session of no struct": func() error {
			return second(session.New[func()](rdb, session.Config{Key: "s:*", TTL: time.Minute}))
		},
		"session of an interface": func() error {
			return second(session.New[any](rdb, session.Config{Key: "s:*", TTL: time.Minute}))
		},
		"field of no store": func() error { return second(session.FieldOf[session.State, talk](nil, "state")) },
		"update by nothing": func() error { return second(k.sessions.Update(ctx, "1", nil)) },
		"do nothing":        func() error { return k.locks.Do(ctx, "1", nil) },
		"try do nothing":    func() error { return k.locks.TryDo(ctx, "1", nil) },
		"load by nothing":   func() error { return second(k.caches["cache"].GetOrLoad(ctx, "1", nil)) },
		"load many by nothing": func() error {
			return second(k.caches["cache"].GetOrLoadMany(ctx, []string{"1"}, nil))
		},
		"no policy":         func() error { return second(ratelimit.New(rdb, ratelimit.Config{Key: "l:*"})) },
		"empty policy":      func() error { return second(ratelimit.New(rdb, ratelimit.Config{Key: "l:*"}, ratelimit.Policy{})) },
		"no limiter":        func() error { return second(ratelimit.Middleware(nil, ratelimit.MiddlewareConfig{})) },
		"no key function":   func() error { return second(ratelimit.Middleware(k.limiters["GCRA"], ratelimit.MiddlewareConfig{})) },
		"nothing allowed":   func() error { return second(k.limiters["GCRA"].AllowN(ctx, "1", 0)) },
		"no source":         func() error { return second(secrets.FirstOf(nil).Read(ctx)) },
		"no sources":        func() error { return second(secrets.FirstOf().Read(ctx)) },
		"no file":           func() error { return second(secrets.File("").Read(ctx)) },
		"no secret":         func() error { return second(secrets.Docker("").Read(ctx)) },
		"no variable":       func() error { return second(secrets.Env("").Read(ctx)) },
		"no URL":            func() error { return second(rediskit.ConfigFromURL("")) },
		"connect to nobody": func() error { return second(rediskit.Connect(ended(ctx), rediskit.Config{})) },
	}
	for name, construct := range constructors {
		for _, c := range []redis.UniversalClient{nil, (*redis.Client)(nil), (*redis.ClusterClient)(nil), (*redis.Ring)(nil), rdb} {
			if c != rdb || name != "check" {
				calls[fmt.Sprintf("%s over %T", name, c)] = func() error { return construct(c) }
			}
		}
	}
	for name, call := range k.calls("", talk{}) {
		switch name {
		case "publish", "publish all", "check", "session count", "session all", "cache clear", "whole cache clear":
		default:
			calls[name+" of an empty id"] = func() error { return call(ctx) }
		}
	}
	for name, call := range calls {
		if err := call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}

	// What is nothing and fine.
	for name, err := range map[string]error{
		"delete":      k.caches["cache"].Delete(ctx),
		"set many":    k.caches["cache"].SetMany(ctx, nil),
		"get many":    second(k.caches["cache"].GetMany(ctx, nil)),
		"load many":   second(k.caches["cache"].GetOrLoadMany(ctx, nil, nil)),
		"publish all": k.topic.PublishAll(ctx),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_ = fmt.Sprintf("%v %v %v %v %v", ratelimit.Policy{}, secrets.Secret{}, rediskit.Health{}, rediskit.Reported[int]{}, rediskit.Config{})
	_ = fmt.Sprintf("%v %v %v %v", &pubsub.GapError{}, &pubsub.DecodeError{}, &session.ConflictError[int]{}, &cache.PanicError{})
}

// A call whose context has ended returns, and says so unless the loader
// answers.
func TestAnEndedContextIsTold(t *testing.T) {
	t.Parallel()
	k := newKit(t, redistest.Mini(t).Client(), "kit")
	for name, call := range k.calls("1", talk{Speaker: "user_1"}) {
		err := call(ended(t.Context()))
		switch name {
		case "cache delete", "whole cache delete": // which outlives it
		default:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func ended(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}
