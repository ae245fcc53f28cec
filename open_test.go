package rediskit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
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

func open(t *testing.T, cfg rediskit.Config) redis.UniversalClient {
	t.Helper()
	rdb, err := rediskit.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func TestAServiceStartsBeforeItsRedis(t *testing.T) {
	t.Parallel()
	server := redistest.StartLater(t)
	rdb := open(t, at(server.Addr()))
	values, err := cache.New[string](rdb, cache.Config{Key: "v:*", TTL: time.Minute, Local: cache.Local{MaxEntries: 10}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = values.Close() })
	get := func() error {
		v, err := values.GetOrLoad(within(t), "id", func(context.Context, string) (string, error) { return "loaded", nil })
		if v != "loaded" {
			t.Errorf("GetOrLoad: %q", v)
		}
		return err
	}
	for range 10 {
		if err := get(); err != nil {
			t.Errorf("GetOrLoad without Redis: %v", err)
		}
	}
	if err := rdb.Ping(within(t)).Err(); !errors.Is(err, rediskit.ErrUnavailable) || !rediskit.IsOutage(err) {
		t.Errorf("PING without Redis: %v", err)
	}
	server.Launch()
	if err := rediskit.Ready(within(t), rdb); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, func() bool { return rdb.Ping(t.Context()).Err() == nil }, "calls are answered")
	redistest.Eventually(t, func() bool { _ = get(); return values.Stats().LocalHits > 0 }, "hits in the process")
}

// What waiting does not mend is told by Ready and by each call, without an end, and ends
// when the server is mended.
func TestWhatWaitingDoesNotMendIsToldByEachCall(t *testing.T) {
	t.Parallel()
	locked := redistest.Start(t, "--requirepass", canary)
	replica := redistest.StartReplica(t, redistest.Start(t))
	evicts := redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
	cluster := redistest.Start(t, "--cluster-enabled", "yes")
	wrong := at(locked.Addr())
	wrong.Password = static(canary + "x")
	noEviction := at(evicts.Addr())
	noEviction.NoEviction = true

	for name, test := range map[string]struct {
		cfg  rediskit.Config
		want string
		mend func() // nil if the configuration is wrong
	}{
		"a wrong password":     {wrong, "Config.Password", func() { mustDo(t, admin(locked, canary), "config", "set", "requirepass", canary+"x") }},
		"no password":          {at(redistest.Start(t, "--requirepass", canary).Addr()), "Config.Password", nil},
		"a replica":            {at(replica.Addr()), "Config.Replica", func() { mustDo(t, replica.Client(), "replicaof", "no", "one") }},
		"a Cluster's node":     {at(cluster.Addr()), "Config.Cluster", nil},
		"a server that evicts": {noEviction, "allkeys-lru", func() { mustDo(t, evicts.Client(), "config", "set", "maxmemory-policy", "noeviction") }},
	} {
		t.Run(name, func(t *testing.T) {
			rdb := open(t, test.cfg)
			is := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, rediskit.ErrMisconfigured) || errors.Is(err, rediskit.ErrUnavailable) || rediskit.IsOutage(err) {
					t.Errorf("%s: %v", what, err)
				} else if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), canary) {
					t.Errorf("%s: %v; want %s in it", what, err, test.want)
				}
			}
			for range 20 {
				is("a call", rdb.Get(within(t), "k").Err())
			}
			is("Ready", rediskit.Ready(within(t), rdb))
			if test.mend == nil {
				return
			}
			test.mend()
			if err := rediskit.Ready(within(t), rdb); err != nil {
				t.Errorf("Ready after the server was mended: %v", err)
			}
			redistest.Eventually(t, func() bool { return errors.Is(rdb.Get(t.Context(), "k").Err(), redis.Nil) }, "calls are answered")
		})
	}
}

func admin(p *redistest.Process, password string) redis.UniversalClient {
	return p.Client(func(o *redis.Options) { o.Password = password })
}

func TestReplicaAcceptsAReplica(t *testing.T) {
	t.Parallel()
	replica := redistest.StartReplica(t, redistest.Start(t))
	cfg := at(replica.Addr())
	cfg.Replica = true
	rdb := connect(t, cfg)
	if err := rdb.Get(t.Context(), "k").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("a read: %v", err)
	}
	if err := rdb.Set(t.Context(), "k", "v", time.Minute).Err(); !redis.IsReadOnlyError(err) {
		t.Errorf("a write: %v", err)
	}
}

func TestReadyTakesAnyClientOfGoRedis(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		if err := rediskit.Ready(within(t), s.Client()); err != nil {
			t.Error(err)
		}
	})
	if err := rediskit.Ready(t.Context(), nil); err == nil {
		t.Error("Ready of no client has no error")
	}
}

// states collects what OnState hears.
type states struct {
	mu  sync.Mutex
	all []rediskit.NodeState
}

func (s *states) onState(n rediskit.NodeState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, n)
}

func (s *states) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, n := range s.all {
		names = append(names, n.State.String())
	}
	return strings.Join(names, " ")
}

func TestTheStateOfTheBreakerIsToldInOrder(t *testing.T) {
	t.Parallel()
	proxy := redistest.StartProxy(t, redistest.Mini(t).Addr())
	var heard states
	cfg := at(proxy.Addr())
	cfg.OnState = heard.onState
	rdb := connect(t, cfg)
	if got := rediskit.States(rdb); len(got) != 1 || got[0] != (rediskit.NodeState{Addr: proxy.Addr()}) {
		t.Errorf("at first the states are %+v", got)
	}
	proxy.Down()
	redistest.Eventually(t, func() bool { return errors.Is(rdb.Ping(t.Context()).Err(), rediskit.ErrUnavailable) }, "the breaker opens")
	got := rediskit.States(rdb)
	if len(got) != 1 || got[0].State != rediskit.StateOpen || got[0].Reason == nil || !rediskit.IsOutage(got[0].Reason) {
		t.Errorf("while Redis is away the states are %+v", got)
	}
	proxy.Up()
	redistest.Eventually(t, func() bool { return rdb.Ping(t.Context()).Err() == nil }, "the breaker closes")
	if got := heard.String(); !strings.HasPrefix(got, "open probing ") || !strings.HasSuffix(got, "probing closed") {
		t.Errorf("OnState heard %s", got)
	}
}

func TestAClientThatOpenDidNotMakeHasNoStates(t *testing.T) {
	t.Parallel()
	if got := rediskit.States(redistest.Mini(t).Client()); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

// lines is a slog.Handler that keeps messages with their attributes.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (*lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *lines) WithGroup(string) slog.Handler          { return l }
func (l *lines) Handle(_ context.Context, r slog.Record) error {
	text := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, text)
	return nil
}

func (l *lines) want(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if got := strings.Join(l.all, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("the log is\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	l.all = nil
}

func TestAFloodOfEqualErrorsIsOneLineWithACount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out lines
		log := rediskit.NewLog(slog.New(&out))
		for i := range 1000 {
			log.OnError(t.Context(), errors.New("attempt "+strings.Repeat("1", i%3+1)+" failed"))
		}
		log.OnError(t.Context(), errors.New("another one"))
		out.want(t, "WARN redis error=attempt 1 failed", "WARN redis error=another one")
		time.Sleep(11 * time.Second)
		out.want(t, "WARN redis error=attempt 1 failed count=999")
		log.OnError(t.Context(), errors.New("another one"))
		out.want(t, "WARN redis error=another one")
		time.Sleep(time.Minute)
		out.want(t) // nothing came: nothing is said
	})
}

func TestAChangeOfStateIsOneLine(t *testing.T) {
	t.Parallel()
	var out lines
	log := rediskit.NewLog(slog.New(&out))
	at := func(s rediskit.State) rediskit.NodeState {
		return rediskit.NodeState{Addr: "a:1", State: s, Reason: errors.New("refused")}
	}
	for _, s := range []rediskit.State{rediskit.StateOpen, rediskit.StateProbing, rediskit.StateOpen, rediskit.StateProbing, rediskit.StateClosed, rediskit.StateClosed} {
		log.OnState(at(s))
	}
	out.want(t, "ERROR redis node=a:1 state=open reason=refused", "INFO redis node=a:1 state=closed")
}

func TestReadyIsNotSilentForEver(t *testing.T) {
	var out lines
	before := slog.Default()
	slog.SetDefault(slog.New(&out))
	defer slog.SetDefault(before)
	synctest.Test(t, func(t *testing.T) {
		cfg := rediskit.Config{Addrs: []string{"redis:1"}, Password: secrets.None(), Tune: func(o *redis.UniversalOptions) { o.Dialer = refuse }}
		rdb, err := rediskit.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer rdb.Close()
		for _, test := range []struct {
			within time.Duration
			lines  int
		}{{4 * time.Second, 0}, {20 * time.Second, 1}, {2 * time.Minute, 2}} {
			ctx, cancel := context.WithTimeout(t.Context(), test.within)
			err := rediskit.Ready(ctx, rdb)
			cancel()
			out.mu.Lock()
			if len(out.all) != test.lines || err == nil {
				t.Errorf("within %v: %d lines %q, %v", test.within, len(out.all), out.all, err)
			}
			out.all = nil
			out.mu.Unlock()
		}
	})
}

func refuse(context.Context, string, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

func TestAClusterOfWhichAPrimaryIsDownIsReady(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, "--cluster-require-full-coverage", "no")
	down := cluster.Nodes()[0]
	down.Kill()
	var log errorLog
	rdb := connect(t, rediskit.Config{Addrs: cluster.Addrs(), OnError: log.onError})
	served := 0
	for i := range 30 {
		if err := rdb.Set(t.Context(), fmt.Sprint("k", i), "v", time.Minute).Err(); err == nil {
			served++
		}
	}
	if served == 0 || served == 30 {
		t.Errorf("%d of 30 keys are served, want those of two primaries", served)
	}
	if errs := log.all(); !slices.ContainsFunc(errs, func(err error) bool { return strings.Contains(err.Error(), "a primary does not answer") }) {
		t.Errorf("OnError received %v", errs)
	}
}

// replied is an error reply as go-redis returns it.
type replied string

func (r replied) Error() string { return string(r) }
func (replied) RedisError()     {}

func TestIsOutageTellsAnOutageFromAMistake(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{rediskit.ErrUnavailable, true},
		{rediskit.ErrOverloaded, true},
		{rediskit.ErrMisconfigured, false},
		{redis.ErrPoolTimeout, true},
		{redis.ErrClosed, false},
		{redis.Nil, false},
		{io.EOF, true},
		{syscall.ECONNREFUSED, true},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "redis"}}, true},
		{os.ErrDeadlineExceeded, true},
		{context.DeadlineExceeded, false},
		{context.Canceled, false},
		{fmt.Errorf("%w: %w", context.Canceled, io.EOF), false},
		{fmt.Errorf("%w: %w", context.DeadlineExceeded, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), true},
		{replied("LOADING Redis is loading the dataset in memory"), true},
		{replied("READONLY You can't write against a read only replica."), true},
		{replied("OOM command not allowed when used memory > 'maxmemory'."), true},
		{replied("CLUSTERDOWN The cluster is down"), true},
		{replied("NOPERM this user has no permissions to run the 'get' command"), false},
		{replied("NOAUTH Authentication required."), false},
		{replied("WRONGTYPE Operation against a key holding the wrong kind of value"), false},
		{replied("ERR syntax error"), false},
		{cache.ErrMiss, false},
		{session.ErrNotFound, false},
		{fmt.Errorf("%w: %w", session.ErrUncertain, io.EOF), true},
		{session.ErrConflict, false},
		{lock.ErrHeld, false},
		{fmt.Errorf("%w: %w", context.DeadlineExceeded, lock.ErrHeld), false},
		{ratelimit.ErrNotCounter, false},
		{pubsub.ErrClosed, false},
	} {
		for _, err := range []error{test.err, fmt.Errorf("wrapped: %w", test.err)} {
			if test.err == nil {
				err = nil
			}
			if got := rediskit.IsOutage(err); got != test.want {
				t.Errorf("%v: %v, want %v", err, got, test.want)
			}
		}
	}
}
