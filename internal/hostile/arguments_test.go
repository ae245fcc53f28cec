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

// Any argument but a context or a receiver may be nil, zero or empty. The call then returns
// an error.
func TestNilAndEmptyArgumentsAreErrorsAndNeverPanic(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	rdb := redistest.Mini(t).Client()
	k := newKit(t, rdb, "kit")
	constructors := map[string]func(redis.UniversalClient) error{
		"cache":     func(c redis.UniversalClient) error { return errorOf(cache.New[talk](c, cache.Config{})) },
		"session":   func(c redis.UniversalClient) error { return errorOf(session.New[talk](c, session.Config{})) },
		"lock":      func(c redis.UniversalClient) error { return errorOf(lock.New(c, lock.Config{})) },
		"ratelimit": func(c redis.UniversalClient) error { return errorOf(ratelimit.New(c, ratelimit.Config{})) },
		"topic":     func(c redis.UniversalClient) error { return errorOf(pubsub.NewTopic[talk](c, "", pubsub.Config{})) },
		"pattern": func(c redis.UniversalClient) error {
			return errorOf(pubsub.ListenPattern[talk](ctx, c, "", pubsub.Config{}))
		},
		"check": func(c redis.UniversalClient) error { return errorOf(rediskit.Check(ctx, c)) },
	}
	calls := map[string]func() error{
		"session of a type that is no struct": func() error {
			return errorOf(session.New[func()](rdb, session.Config{Key: "s:*", TTL: time.Minute}))
		},
		"session of an interface": func() error {
			return errorOf(session.New[any](rdb, session.Config{Key: "s:*", TTL: time.Minute}))
		},
		"field of a nil store":       func() error { return errorOf(session.FieldOf[phase, talk](nil, "state")) },
		"update with a nil function": func() error { return errorOf(k.sessions.Update(ctx, "1", nil)) },
		"do with a nil function":     func() error { return k.locks.Do(ctx, "1", nil) },
		"try do with a nil function": func() error { return k.locks.TryDo(ctx, "1", nil) },
		"load with a nil loader":     func() error { return errorOf(k.caches["cache"].GetOrLoad(ctx, "1", nil)) },
		"load many with a nil loader": func() error {
			return errorOf(k.caches["cache"].GetOrLoadMany(ctx, []string{"1"}, nil))
		},
		"no policy":                         func() error { return errorOf(ratelimit.New(rdb, ratelimit.Config{Key: "l:*"})) },
		"empty policy":                      func() error { return errorOf(ratelimit.New(rdb, ratelimit.Config{Key: "l:*"}, ratelimit.Policy{})) },
		"middleware without a limiter":      func() error { return errorOf(ratelimit.Middleware(nil, ratelimit.MiddlewareConfig{})) },
		"middleware without a key function": func() error { return errorOf(ratelimit.Middleware(k.limiters["GCRA"], ratelimit.MiddlewareConfig{})) },
		"allow n = 0":                       func() error { return errorOf(k.limiters["GCRA"].AllowN(ctx, "1", 0)) },
		"nil secret source":                 func() error { return errorOf(secrets.FirstOf(nil).Read(ctx)) },
		"no secret source":                  func() error { return errorOf(secrets.FirstOf().Read(ctx)) },
		"no secret file":                    func() error { return errorOf(secrets.File("").Read(ctx)) },
		"no Docker secret":                  func() error { return errorOf(secrets.Docker("").Read(ctx)) },
		"no variable":                       func() error { return errorOf(secrets.Env("").Read(ctx)) },
		"no URL":                            func() error { return errorOf(rediskit.ConfigFromURL("")) },
		"connect without an address and with an ended context": func() error { return errorOf(rediskit.Connect(ended(ctx), rediskit.Config{})) },
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

	// Calls with nothing to do succeed.
	for name, err := range map[string]error{
		"delete":      k.caches["cache"].Delete(ctx),
		"set many":    k.caches["cache"].SetMany(ctx, nil),
		"get many":    errorOf(k.caches["cache"].GetMany(ctx, nil)),
		"load many":   errorOf(k.caches["cache"].GetOrLoadMany(ctx, nil, nil)),
		"publish all": k.topic.PublishAll(ctx),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_ = fmt.Sprintf("%v %v %v %v %v", ratelimit.Policy{}, secrets.Secret{}, rediskit.Health{}, rediskit.Reported[int]{}, rediskit.Config{})
	_ = fmt.Sprintf("%v %v %v %v", &pubsub.GapError{}, &pubsub.DecodeError{}, &session.ConflictError[int]{}, &cache.PanicError{})
}

// A call whose context has ended returns the context's error.
func TestEveryCallReportsAnEndedContext(t *testing.T) {
	t.Parallel()
	k := newKit(t, redistest.Mini(t).Client(), "kit")
	for name, call := range k.calls("1", talk{Speaker: "user_1"}) {
		err := call(ended(t.Context()))
		switch name {
		case "cache delete", "whole cache delete": // a Delete goes on without its caller
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
