package redistest

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Server is one test's view of a Redis server.
type Server struct {
	t      testing.TB
	name   string
	addr   string
	prefix string
	mini   *miniredis.Miniredis

	connect func(*redis.Options)  // points a client at the server
	advance func(d time.Duration) // makes d pass on the server's clock
}

// Mini starts a miniredis that ends with the test. Its clock runs with the
// wall clock, TTLs included, so that a test may wait as it would on a real
// server; Advance moves it ahead.
func Mini(t testing.TB) *Server {
	t.Helper()
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		t.Fatalf("start miniredis: %v", err)
	}
	t.Cleanup(m.Close)
	m.ClockTTL(true)
	c := &clock{mini: m}
	m.Server().SetPreHook(c.tick)
	return &Server{
		t: t, name: "miniredis", addr: m.Addr(), prefix: token(), mini: m,
		connect: at(m.Addr()),
		advance: c.advance,
	}
}

// Real returns the redis-server that all tests of this binary share, and
// starts it for the first of them.
func Real(t testing.TB) *Server {
	t.Helper()
	requireProgram(t, "redis-server")
	p, err := sharedServer()
	if err != nil {
		t.Fatalf("start the shared redis-server: %v", err)
	}
	s := &Server{t: t, name: "redis", addr: p.Addr(), prefix: token(), connect: at(p.Addr())}
	s.advance = s.wait
	return s
}

// sharedServer lives until Main ends it: its owner is the test binary.
var sharedServer = sync.OnceValues(func() (*Process, error) {
	return launch("--maxclients", "10000")
})

// Name is "miniredis" or "redis".
func (s *Server) Name() string { return s.name }

// Addr is the server's host:port; empty inside Bubble, where only Client and
// its options can reach the server.
func (s *Server) Addr() string { return s.addr }

// Real says whether this is a redis-server.
func (s *Server) Real() bool { return s.mini == nil }

// Mini is the miniredis behind s, nil on a redis-server. Its SetError and
// Restart replace the hook that runs its clock: from then on only Advance
// moves it.
func (s *Server) Mini() *miniredis.Miniredis { return s.mini }

// Prefix is a random token of letters and digits, this test's own: keys that
// begin with it meet nobody else's on the shared server.
func (s *Server) Prefix() string { return s.prefix }

// Client returns a client that is closed with the test. Unless opts say
// otherwise it never retries, so that a test sees each error and the server
// each command once, and it honours the deadlines of its contexts.
func (s *Server) Client(opts ...func(*redis.Options)) *redis.Client {
	return newClient(s.t, s.connect, opts)
}

// User makes a user of its own with rules of ACL SETUSER, of which none has a
// space in it, and returns its name and what makes a client's user of it. The
// user ends with the test.
func (s *Server) User(rules string) (name string, as func(*redis.Options)) {
	s.t.Helper()
	name = "user-" + strings.ToLower(rand.Text())
	words := []any{"ACL", "SETUSER", name, "on", ">pw"}
	for rule := range strings.FieldsSeq(rules) {
		words = append(words, rule)
	}
	if err := s.Client().Do(s.t.Context(), words...).Err(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { s.Client().Do(context.Background(), "ACL", "DELUSER", name) })
	return name, func(o *redis.Options) { o.Username, o.Password = name, "pw" }
}

// Advance lets d pass on the server's clock: a key whose TTL is d or less is
// gone afterwards. On a redis-server it waits for real, so keep d short.
// It does not move the clock of this process, save inside Bubble.
func (s *Server) Advance(d time.Duration) {
	s.t.Helper()
	s.advance(d)
}

// wait returns when d has passed by the server's own clock. A key outlives its
// last millisecond, hence the margin.
func (s *Server) wait(d time.Duration) {
	s.t.Helper()
	rdb, ctx := s.Client(), context.Background()
	defer rdb.Close()
	start, err := rdb.Time(ctx).Result()
	for now := start; err == nil; now, err = rdb.Time(ctx).Result() {
		left := start.Add(d + 2*time.Millisecond).Sub(now)
		if left <= 0 {
			return
		}
		time.Sleep(left)
	}
	s.t.Fatalf("read the server's clock: %v", err)
}

// clock makes a miniredis tell the wall time plus what was advanced, so that
// its TIME and its TTLs always agree.
type clock struct {
	mini  *miniredis.Miniredis
	mu    sync.Mutex // keeps the time from running backwards
	ahead time.Duration
}

// tick runs before each command. The commands of a script find miniredis
// locked by that script: time stands still for them.
func (c *clock) tick(*server.Peer, string, ...string) bool {
	if c.mini.TryLock() {
		c.mini.Unlock()
		c.advance(0)
	}
	return false
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
	c.mini.SetTime(time.Now().Add(c.ahead))
}

// newClient applies opts over the defaults that Server.Client promises.
func newClient(t testing.TB, connect func(*redis.Options), opts []func(*redis.Options)) *redis.Client {
	o := &redis.Options{
		MaxRetries:            -1,
		DialerRetries:         1,
		ContextTimeoutEnabled: true,
		DisableIdentity:       true,
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled,
		},
	}
	connect(o)
	for _, opt := range opts {
		opt(o)
	}
	rdb := redis.NewClient(o)
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

func at(addr string) func(*redis.Options) {
	return func(o *redis.Options) { o.Addr = addr }
}

func token() string { return "t" + strings.ToLower(rand.Text()[:12]) }
