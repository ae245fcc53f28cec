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
	"github.com/convkit/rediskit/session"
)

const password = canary + "-p4ss"

// ids are quoted by Redis, in their own ways.
var ids = []string{canary, canary + `'s "own" id`, "a\r\n`" + canary + "`"}

// A fault is a server that fails in one way, and a client of it.
type fault struct {
	name   string
	quiet  bool // many calls succeed all the same
	client func(t *testing.T, s *redistest.Server) redis.UniversalClient
}

var faults = []fault{
	{name: "nothing is wrong", quiet: true, client: func(_ *testing.T, s *redistest.Server) redis.UniversalClient { return s.Client() }},
	{name: "other types", quiet: true, client: func(t *testing.T, s *redistest.Server) redis.UniversalClient {
		spoil(t, s, func(rdb redis.Cmdable, key string) error {
			return rdb.RPush(t.Context(), key, canary).Err()
		})
		return s.Client()
	}},
	{name: "corrupt texts", quiet: true, client: func(t *testing.T, s *redistest.Server) redis.UniversalClient {
		spoil(t, s, func(rdb redis.Cmdable, key string) error {
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
	}, quiet: true},
	{name: "OOM", quiet: true, client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		return redistest.Start(t, "--maxmemory", "1", "--maxmemory-policy", "noeviction").Client()
	}},
	{name: "READONLY", quiet: true, client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		return redistest.Start(t, "--replicaof", "127.0.0.1 1").Client()
	}},
	{name: "MASTERDOWN", quiet: true, client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		return redistest.Start(t, "--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no").Client()
	}},
	{name: "CLUSTERDOWN", quiet: true, client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		return redistest.Start(t, "--cluster-enabled", "yes").Client()
	}},
	{name: "unknown commands", quiet: true, client: func(t *testing.T, _ *redistest.Server) redis.UniversalClient {
		args := []string{}
		for _, name := range []string{"EVALSHA", "EVAL", "GET", "MGET", "UNLINK", "DEL", "HGETALL", "PUBLISH", "SCAN", "SUBSCRIBE", "PSUBSCRIBE", "INFO"} {
			args = append(args, "--rename-command", name, "C-"+name)
		}
		return redistest.Start(t, args...).Client()
	}},
	{name: "quoting replies", quiet: true, client: func(_ *testing.T, s *redistest.Server) redis.UniversalClient {
		return s.Hooked(func(func() error, ...string) error {
			return quotingReply("ERR something is wrong with '" + canary + "' and \"" + canary + "\"")
		})
	}},
	{name: "quoting errors of a hook", quiet: true, client: func(_ *testing.T, s *redistest.Server) redis.UniversalClient {
		return s.Hooked(func(func() error, ...string) error { return fmt.Errorf("%s: %w", canary, errors.New(canary)) })
	}},
	{name: "replies are lost", quiet: true, client: func(t *testing.T, s *redistest.Server) redis.UniversalClient {
		p := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) { o.Addr = p.Addr() })
		for range 200 {
			p.DropReply(canary)
		}
		return rdb
	}},
	{name: "nobody answers", client: func(t *testing.T, s *redistest.Server) redis.UniversalClient {
		p := redistest.StartProxy(t, s.Addr())
		p.BlackHole()
		return s.Client(func(o *redis.Options) {
			o.Addr, o.ReadTimeout, o.Password = p.Addr(), brief, password
		})
	}},
	{name: "nobody is there", client: func(t *testing.T, s *redistest.Server) redis.UniversalClient {
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

// Under every fault, with ids and values that are canaries, no call's error nor
// anything that is told or counted has a canary in it, and go-redis's own log
// has none either.
func TestNoFaultTellsAnIDAValueOrAPassword(t *testing.T) {
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
				k.answersTellNothing(t, id)
				failures := 0
				calls := k.calls(id, talk{Speaker: canary, State: session.State(canary)})
				for name, call := range calls {
					ctx, cancel := context.WithTimeout(t.Context(), 2*brief)
					err := call(ctx)
					cancel()
					if err != nil {
						failures++
					}
					tellsNothing(t, name, err)
				}
				if failures < len(calls)/3 && !f.quiet {
					t.Errorf("only %d of %d calls failed", failures, len(calls))
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*brief)
			defer cancel()
			hub, err := k.topic.Listen(ctx)
			if err == nil {
				must(t, hub.Close())
			}
			tellsNothing(t, "listen", err)
			for _, err := range k.told.All() {
				tellsNothing(t, "OnError", err)
			}
			textTellsNothing(t, "what is printed", k.printed())
			textTellsNothing(t, "what is scraped", k.scraped(t))
		})
	}
	t.Run("subscriptions", subscriptionsTellNothing)
}

// spoil writes something under every key that a kit has for the ids.
func spoil(t *testing.T, s *redistest.Server, write func(rdb redis.Cmdable, key string) error) {
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

type quotingReply string

func (r quotingReply) Error() string { return string(r) }
func (quotingReply) RedisError()     {}

// A logger keeps what go-redis logs.
type logger struct {
	mu    sync.Mutex
	lines strings.Builder
}

// Printf keeps a line.
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
