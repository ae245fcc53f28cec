package hostile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
)

const password = canary + "-p4ss"

// ids have characters that Redis quotes and escapes in errors.
var ids = []string{canary, canary + `'s "own" id`, "a\r\n`" + canary + "`"}

// A fault is one way in which a server fails.
type fault struct {
	name string
	// lenient says that most calls may succeed all the same.
	lenient bool
	// client returns a client of a server that fails so; s is a server that works.
	client func(t *testing.T, s *redistest.Server) redis.UniversalClient
}

var faults = []fault{
	{name: "no fault", lenient: true, client: func(_ *testing.T, s *redistest.Server) redis.UniversalClient { return s.Client() }},
	{name: "other types", lenient: true, client: func(t *testing.T, s *redistest.Server) redis.UniversalClient {
		writeUnderEveryKey(t, s, func(rdb redis.Cmdable, key string) error {
			return rdb.RPush(t.Context(), key, canary).Err()
		})
		return s.Client()
	}},
	{name: "corrupt texts", lenient: true, client: func(t *testing.T, s *redistest.Server) redis.UniversalClient {
		writeUnderEveryKey(t, s, func(rdb redis.Cmdable, key string) error {
			if strings.Contains(key, ":session:") || strings.Contains(key, "limit-sliding") {
				return rdb.HSet(t.Context(), key, "speaker", canary, "state", canary, "n", canary, "last", canary, "_until", canary).Err()
			}
			return rdb.Set(t.Context(), key, `{"speaker":"`+canary+`","n":"`+canary+`"}`, time.Minute).Err()
		})
		return s.Client()
	}},
	{name: "NOAUTH", client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		return redistest.Start(t, "--requirepass", password).Client()
	}},
	{name: "WRONGPASS", client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		return redistest.Start(t, "--requirepass", "another").Client(func(o *redis.Options) { o.Username, o.Password = canary, password })
	}},
	{name: "NOPERM", client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		p := redistest.Start(t)
		must(t, p.Client().Do(t.Context(), "ACL", "SETUSER", canary, "on", ">"+password, "+ping", "allkeys").Err())
		return p.Client(func(o *redis.Options) { o.Username, o.Password = canary, password })
	}},
	{name: "no key permitted", client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		p := redistest.Start(t)
		must(t, p.Client().Do(t.Context(), "ACL", "SETUSER", canary, "on", ">"+password, "+@all", "~nothing").Err())
		return p.Client(func(o *redis.Options) { o.Username, o.Password = canary, password })
	}, lenient: true},
	{name: "OOM", lenient: true, client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		return redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction").Client()
	}},
	{name: "READONLY", lenient: true, client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		return redistest.Start(t, "--replicaof", "127.0.0.1 1").Client()
	}},
	{name: "MASTERDOWN", lenient: true, client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		return redistest.Start(t, "--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no").Client()
	}},
	{name: "CLUSTERDOWN", lenient: true, client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		return redistest.Start(t, "--cluster-enabled", "yes").Client()
	}},
	{name: "unknown commands", lenient: true, client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		args := []string{}
		for _, name := range []string{"EVALSHA", "EVAL", "GET", "MGET", "UNLINK", "DEL", "HGETALL", "PUBLISH", "SCAN", "SUBSCRIBE", "PSUBSCRIBE", "INFO"} {
			args = append(args, "--rename-command", name, "C-"+name)
		}
		return redistest.Start(t, args...).Client()
	}},
	{name: "error replies with data", lenient: true, client: func(_ *testing.T, s *redistest.Server) redis.UniversalClient {
		return s.Hooked(func(func() error, ...string) error {
			return quotingReply("ERR something is wrong with '" + canary + "' and \"" + canary + "\"")
		})
	}},
	{name: "errors of a hook with data", lenient: true, client: func(_ *testing.T, s *redistest.Server) redis.UniversalClient {
		return s.Hooked(func(func() error, ...string) error { return fmt.Errorf("%s: %w", canary, errors.New(canary)) })
	}},
	{name: "replies are lost", lenient: true, client: func(t *testing.T, s *redistest.Server) redis.UniversalClient {
		p := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) { o.Addr = p.Addr() })
		for range 200 {
			p.DropReply(canary)
		}
		return rdb
	}},
	{name: "no replies", client: func(t *testing.T, s *redistest.Server) redis.UniversalClient {
		p := redistest.StartProxy(t, s.Addr())
		p.BlackHole()
		return s.Client(func(o *redis.Options) {
			o.Addr, o.ReadTimeout, o.Password = p.Addr(), shortWait, password
		})
	}},
	{name: "connections refused", client: func(t *testing.T, s *redistest.Server) redis.UniversalClient {
		p := redistest.StartProxy(t, s.Addr())
		p.Down()
		return s.Client(func(o *redis.Options) { o.Addr, o.Password = p.Addr(), password })
	}},
	{name: "the client is closed", client: func(_ *testing.T, s *redistest.Server) redis.UniversalClient {
		rdb := s.Client(func(o *redis.Options) { o.Password = password })
		rdb.Close()
		return rdb
	}},
}

// Every id, value and password is a canary. Under every fault, no canary is in the error of
// a call, in what OnError receives, in Stats, metrics and HTTP responses, or in go-redis's
// own log.
func TestNoFaultLeaksAnIDAValueOrAPassword(t *testing.T) {
	logged := &logger{}
	redis.SetLogger(logged)
	t.Cleanup(func() {
		if text := logged.text(); strings.Contains(strings.ToLower(text), canary) {
			t.Errorf("go-redis logged %s", text)
		}
	})
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Real(t)
			k := newKit(t, f.client(t, s), s.Prefix())
			for _, id := range ids {
				k.checkResponses(t, id)
				failures := 0
				calls := k.calls(id, talk{Speaker: canary, State: phase(canary)})
				for name, call := range calls {
					ctx, cancel := context.WithTimeout(t.Context(), 2*shortWait)
					err := call(ctx)
					cancel()
					if err != nil {
						failures++
					}
					expectNoLeak(t, name, err)
				}
				if failures < len(calls)/3 && !f.lenient {
					t.Errorf("only %d of %d calls failed", failures, len(calls))
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*shortWait)
			defer cancel()
			hub, err := k.topic.Listen(ctx)
			if err == nil {
				must(t, hub.Close())
			}
			expectNoLeak(t, "listen", err)
			for _, err := range k.onError.All() {
				expectNoLeak(t, "OnError", err)
			}
			expectNoLeakIn(t, "the printed kit", k.printed())
			expectNoLeakIn(t, "metrics", k.metrics(t))
		})
	}
	t.Run("subscriptions", testSubscription)
}

// writeUnderEveryKey calls write for every key that a kit has for the ids.
func writeUnderEveryKey(t *testing.T, s *redistest.Server, write func(rdb redis.Cmdable, key string) error) {
	t.Helper()
	rdb := s.Client()
	for _, id := range ids {
		for pattern, kinds := range map[string][]string{
			":list:": {"lease", "stale"}, ":session:": nil, ":lock:": {"fence"},
			":windows:": {"limit-sliding-1h"}, ":GCRA:": {"limit-gcra-1m-10-10"},
		} {
			key := s.Prefix() + pattern + id
			must(t, write(rdb, key))
			for _, kind := range kinds {
				must(t, write(rdb, keys.Sibling(kind, key)))
			}
		}
	}
}

// A quotingReply is an error reply of Redis that quotes data.
type quotingReply string

func (r quotingReply) Error() string { return string(r) }
func (quotingReply) RedisError()     {}

// A logger collects what go-redis logs.
type logger struct {
	mu    sync.Mutex
	lines strings.Builder
}

// Printf collects a line.
func (l *logger) Printf(_ context.Context, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(&l.lines, format+"\n", args...)
}

func (l *logger) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.String()
}
