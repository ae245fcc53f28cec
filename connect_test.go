package rediskit_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/auth"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/secrets"
)

const canary = "c4nary-passw0rd"

// within bounds what a test waits for. A test that passes never reaches it.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, cfg rediskit.Config) redis.UniversalClient {
	t.Helper()
	rdb, err := rediskit.Connect(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

func at(addr string) rediskit.Config {
	return rediskit.Config{Addrs: []string{addr}, Password: secrets.None()}
}

func static(password string) secrets.Source { return secrets.Static(secrets.New(password)) }

// errorLog collects the errors that OnError receives.
type errorLog struct {
	mu   sync.Mutex
	errs []error
}

func (l *errorLog) onError(_ context.Context, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

func (l *errorLog) all() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]error(nil), l.errs...)
}

func TestConnectAnswersOnBothServers(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := connect(t, at(s.Addr()))
		key := s.Prefix() + ":k"
		if err := rdb.Set(t.Context(), key, "v", time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if got := rdb.Get(t.Context(), key).Val(); got != "v" {
			t.Errorf("got %q", got)
		}
	})
}

func TestConnectAuthenticates(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", canary)
	cfg := at(server.Addr())

	cfg.Password = static(canary)
	connect(t, cfg)

	for name, source := range map[string]secrets.Source{"wrong": static(canary + "x"), "none": secrets.None()} {
		cfg.Password = source
		_, err := rediskit.Connect(within(t), cfg)
		if !errors.Is(err, rediskit.ErrMisconfigured) || !strings.Contains(err.Error(), "Config.Password") || strings.Contains(err.Error(), canary) {
			t.Errorf("%s password: %v", name, err)
		}
	}
}

func TestConnectUsesTheACLUserAndItsName(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users.acl")
	err := os.WriteFile(users, []byte("user default off\nuser admin on nopass ~* &* +@all\nuser app on >"+canary+" ~* &* +@all -@dangerous\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	server := redistest.Start(t, "--aclfile", users)
	admin := server.Client(func(o *redis.Options) { o.Username, o.Password = "admin", "any" })
	cfg := at(server.Addr())
	cfg.Username, cfg.Password, cfg.Name = "app", static(canary), "conversation manager\n"
	rdb := connect(t, cfg)
	if err := rdb.Get(t.Context(), "k").Err(); err != redis.Nil {
		t.Errorf("GET: %v", err)
	}
	list := admin.ClientList(t.Context()).Val()
	if !strings.Contains(list, "name=conversation-manager-") || !strings.Contains(list, "user=app") {
		t.Errorf("CLIENT LIST does not show the name and the user:\n%s", list)
	}
}

func TestConnectFailsAtOnceWhereWaitingDoesNotHelp(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := server.Client()
	mustDo(t, admin, "acl", "setuser", "noping", "on", ">"+canary, "+@connection", "-ping")
	cluster := redistest.Start(t, "--cluster-enabled", "yes")

	for name, test := range map[string]struct {
		cfg  rediskit.Config
		want string
	}{
		"no such database": {rediskit.Config{Addrs: []string{server.Addr()}, DB: 99}, "Config.DB"},
		"no permission":    {rediskit.Config{Addrs: []string{server.Addr()}, Username: "noping", Password: static(canary)}, "+ping"},
		"not a Cluster":    {rediskit.Config{Addrs: []string{server.Addr()}, Cluster: true}, "Cluster false"},
		"a Cluster":        {rediskit.Config{Addrs: []string{cluster.Addr()}}, "Config.Cluster"},
		"unreadable":       {rediskit.Config{Addrs: []string{server.Addr()}, Password: secrets.File(t.TempDir())}, "Config.Password"},
		"no user":          {rediskit.Config{Addrs: []string{server.Addr()}, Username: "app"}, "Config.Password"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log errorLog
			test.cfg.OnError = log.onError
			_, err := rediskit.Connect(within(t), test.cfg)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), canary) {
				t.Errorf("got %v, want an error that says %s", err, test.want)
			}
			if attempts := log.all(); len(attempts) != 0 {
				t.Errorf("it was tried again: %v", attempts)
			}
		})
	}
}

func TestConnectWaitsForAServerThatComesLater(t *testing.T) {
	t.Parallel()
	server := redistest.StartLater(t)
	var log errorLog
	cfg := at(server.Addr())
	cfg.OnError = log.onError

	connected := make(chan error, 1)
	go func() {
		rdb, err := rediskit.Connect(within(t), cfg)
		if err == nil {
			err = errors.Join(rdb.Ping(context.Background()).Err(), rdb.Close())
		}
		connected <- err
	}()
	time.Sleep(2 * time.Second) // the server does not run for this time
	server.Launch()
	if err := <-connected; err != nil {
		t.Fatal(err)
	}
	for i, err := range log.all() {
		if !errors.Is(err, syscall.ECONNREFUSED) || !strings.Contains(err.Error(), fmt.Sprintf("attempt %d failed, the next one in %v", i+1, min(time.Duration(i+1)*50*time.Millisecond, 2*time.Second))) {
			t.Errorf("OnError received: %v", err)
		}
	}
}

func TestConnectEndsWithItsContextAndNamesTheCause(t *testing.T) {
	t.Parallel()
	hole := listenAndNeverAnswer(t)
	for name, test := range map[string]struct {
		addr  string
		cause error
	}{
		"refused":    {redistest.StartLater(t).Addr(), syscall.ECONNREFUSED},
		"black hole": {hole, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
			defer cancel()
			_, err := rediskit.Connect(ctx, at(test.addr))
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, test.cause) {
				t.Errorf("deadline: got %v", err)
			}

			ctx, cancel = context.WithCancel(t.Context())
			cfg := at(test.addr)
			cfg.OnError = func(context.Context, error) { cancel() }
			_, err = rediskit.Connect(ctx, cfg)
			if !errors.Is(err, context.Canceled) || !errors.Is(err, test.cause) {
				t.Errorf("cancelled: got %v", err)
			}
		})
	}
}

func TestConnectToAnUnknownHostIsTriedAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := at("no-such-host.invalid")
	attempts := 0
	cfg.OnError = func(context.Context, error) {
		if attempts++; attempts == 2 {
			cancel()
		}
	}
	_, err := rediskit.Connect(ctx, cfg)
	var dns *net.DNSError
	if !errors.Is(err, context.Canceled) || !errors.As(err, &dns) {
		t.Errorf("got %v", err)
	}
}

func TestAFailedConnectLeavesNoConnection(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", canary)
	proxy := redistest.StartProxy(t, server.Addr())
	cfg := at(proxy.Addr())
	cfg.Password = static("wrong")
	if _, err := rediskit.Connect(within(t), cfg); err == nil {
		t.Fatal("connected with a wrong password")
	}
	redistest.Eventually(t, func() bool { return proxy.Open() == 0 }, "no open connection")
	if proxy.Connections() == 0 {
		t.Error("it never dialled")
	}
}

func TestConnectWaitsWhileTheServerLoads(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--save", "3600 1", "--enable-debug-command", "yes")
	admin := server.Client()
	mustDo(t, admin, "debug", "populate", "500", "k", "100")
	mustDo(t, admin, "save")
	server.Kill()
	loading := redistest.StartLater(t, "--dir", server.Dir(), "--key-load-delay", "1000",
		"--loading-process-events-interval-bytes", "1024")
	loading.RestartNow()

	var log errorLog
	cfg := at(loading.Addr())
	cfg.OnError = log.onError
	rdb := connect(t, cfg)
	if n := rdb.DBSize(t.Context()).Val(); n != 500 {
		t.Errorf("connected before all was loaded: %d keys", n)
	}
	seen := false
	for _, err := range log.all() {
		seen = seen || redis.IsLoadingError(err)
	}
	if !seen {
		t.Errorf("no attempt met LOADING: %v", log.all())
	}
}

func TestConnectWaitsForAFreeClientSlot(t *testing.T) {
	t.Parallel()
	for name, password := range map[string]string{"with a password": canary, "without": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--requirepass", password)
			hog := server.Client(func(o *redis.Options) { o.Password = password })
			mustDo(t, hog, "config", "set", "maxclients", "1")
			var log errorLog
			cfg := at(server.Addr())
			if password != "" {
				cfg.Password = static(password)
			}
			cfg.OnError = func(ctx context.Context, err error) {
				log.onError(ctx, err)
				if len(log.all()) == 2 {
					_ = hog.Close()
				}
			}
			connect(t, cfg)
			for _, err := range log.all() {
				if !strings.Contains(err.Error(), "max number of clients") {
					t.Errorf("the error does not name the cause: %v", err)
				}
			}
		})
	}
}

func TestConnectByUnixSocket(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for _, addr := range []string{server.Socket(), "unix://" + server.Socket()} {
		if err := connect(t, at(addr)).Ping(t.Context()).Err(); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := rediskit.Connect(ctx, at(filepath.Join(t.TempDir(), "no.sock"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a socket that is not there: %v", err)
	}
}

func TestConnectRefusesEviction(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	admin := server.Client()
	cfg := at(server.Addr())
	cfg.NoEviction = true
	connect(t, cfg)

	mustDo(t, admin, "config", "set", "maxmemory-policy", "volatile-ttl")
	if _, err := rediskit.Connect(within(t), cfg); err == nil || !strings.Contains(err.Error(), "volatile-ttl") {
		t.Errorf("another policy: %v", err)
	}

	mustDo(t, admin, "config", "set", "maxmemory-policy", "noeviction")
	mustDo(t, admin, "acl", "setuser", "app", "on", ">"+canary, "~*", "+@all", "-@dangerous")
	cfg.Username, cfg.Password = "app", static(canary)
	if _, err := rediskit.Connect(within(t), cfg); err == nil || !strings.Contains(err.Error(), "+info") {
		t.Errorf("a user that may not ask: %v", err)
	}
	mustDo(t, admin, "acl", "setuser", "app", "+info")
	connect(t, cfg)
}

func TestTuneChangesTheOptionsLast(t *testing.T) {
	t.Parallel()
	server := redistest.Mini(t)
	cfg := at(server.Addr())
	cfg.Tune = func(o *redis.UniversalOptions) { o.PoolSize = 3; o.Protocol = 3 }
	rdb := connect(t, cfg).(*redis.Client)
	if o := rdb.Options(); o.PoolSize != 3 || o.Protocol != 3 {
		t.Errorf("PoolSize %d, Protocol %d", o.PoolSize, o.Protocol)
	}
}

func TestConnectRefusesWhatItsDialerCannotServe(t *testing.T) {
	t.Parallel()
	for name, tune := range map[string]func(*redis.UniversalOptions){
		"ReadOnly":                     func(o *redis.UniversalOptions) { o.ReadOnly = true },
		"RouteByLatency":               func(o *redis.UniversalOptions) { o.RouteByLatency = true },
		"RouteRandomly":                func(o *redis.UniversalOptions) { o.RouteRandomly = true },
		"IsClusterMode":                func(o *redis.UniversalOptions) { o.IsClusterMode = true },
		"StreamingCredentialsProvider": func(o *redis.UniversalOptions) { o.StreamingCredentialsProvider = noStream{} },
	} {
		cfg := rediskit.Config{Addrs: []string{"127.0.0.1:1"}, MasterName: "m", Tune: tune}
		if _, err := rediskit.Connect(within(t), cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type noStream struct {
	auth.StreamingCredentialsProvider
}

func TestANewConnectionCostsThreeRoundTrips(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", canary)
	proxy := redistest.StartProxy(t, server.Addr())
	cfg := at(proxy.Addr())
	cfg.Password, cfg.DB = static(canary), 1
	connect(t, cfg)
	// HELLO with AUTH and INFO together; HELLO with AUTH; SELECT and CLIENT SETNAME
	// together; then PING of Connect.
	if got := proxy.Requests("hello", "auth", "info", "select", "client", "ping"); got != 6 || proxy.Connections() != 1 {
		t.Errorf("%d requests over %d connections", got, proxy.Connections())
	}
}

func mustDo(t testing.TB, rdb redis.UniversalClient, args ...any) {
	t.Helper()
	if err := rdb.Do(t.Context(), args...).Err(); err != nil {
		t.Fatalf("%v: %v", args[0], err)
	}
}

// listenAndNeverAnswer accepts connections and reads what they send.
func listenAndNeverAnswer(t *testing.T) string {
	t.Helper()
	proxy := redistest.StartProxy(t, redistest.Mini(t).Addr())
	proxy.BlackHole()
	return proxy.Addr()
}

func TestThePauseBetweenAttemptsRisesToTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log errorLog
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		_, err := rediskit.Connect(ctx, rediskit.Config{
			Addrs: []string{"redis"}, Password: secrets.None(), OnError: log.onError,
			Tune: func(o *redis.UniversalOptions) {
				o.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
			},
		})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Connect = %v", err)
		}
		attempts := log.all()
		if len(attempts) < 60 {
			t.Fatalf("%d attempts in two minutes", len(attempts))
		}
		for attempt, pause := range map[int]string{1: "50ms", 2: "100ms", 39: "1.95s", 40: "2s", 41: "2s", 60: "2s"} {
			if want := fmt.Sprintf("attempt %d failed, the next one in %s:", attempt, pause); !strings.Contains(attempts[attempt-1].Error(), want) {
				t.Errorf("got %v; want %q", attempts[attempt-1], want)
			}
		}
	})
}
