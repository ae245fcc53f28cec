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

// A Server is a Redis server as one test sees it.
type Server struct {
	t      testing.TB
	name   string
	addr   string
	prefix string
	mini   *miniredis.Miniredis

	connect func(*redis.Options)  // points a client at the server
	advance func(d time.Duration) // lets d pass on the server's clock
	step    func(d time.Duration) // sets it ahead by d; nil if other tests share the server
}

// Mini starts a miniredis that ends with the test. Its clock, TTLs included, runs with the
// wall clock, so that a test may wait as it would for a real server. Advance moves the
// clock ahead.
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
		advance: c.advance, step: c.step,
	}
}

// Real returns the redis-server that all tests of this binary share. The first call starts
// it.
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

// sharedServer runs until Main ends it: its owner is the test binary.
var sharedServer = sync.OnceValues(func() (*Process, error) {
	return launch("--maxclients", "10000")
})

// Name returns "miniredis" or "redis".
func (s *Server) Name() string { return s.name }

// Addr returns the server's host:port. It is empty inside Bubble, where only Client and its
// options reach the server.
func (s *Server) Addr() string { return s.addr }

// Real reports whether this is a redis-server.
func (s *Server) Real() bool { return s.mini == nil }

// Mini returns the miniredis behind s, or nil for a redis-server. SetError and Restart of
// miniredis replace the hook that runs its clock. From then on only Advance moves it.
func (s *Server) Mini() *miniredis.Miniredis { return s.mini }

// Prefix returns a random token of letters and digits, which only this test has. No other
// test uses keys that begin with it on the shared server.
func (s *Server) Prefix() string { return s.prefix }

// Client returns a client that is closed with the test. Unless opts say otherwise, it never
// retries, so that the test sees each error and the server receives each command once. It
// honours the deadlines of its contexts.
func (s *Server) Client(opts ...func(*redis.Options)) *redis.Client {
	return newClient(s.t, s.connect, opts)
}

// User creates a user with rules of ACL SETUSER, none of which contains a space. It returns
// the user's name, and an option of Client that sets it as the client's user. The user is
// deleted with the test.
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

// Advance lets d pass on the server's clock: a key whose TTL is d or less has expired
// afterwards. For a redis-server it waits for as long, so keep d short. It does not move
// the clock of this process, except inside Bubble.
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

// A clock sets the time of a miniredis to the wall clock plus what was advanced, so that
// its TIME and its TTLs always agree.
type clock struct {
	mini  *miniredis.Miniredis
	mu    sync.Mutex // keeps the time from running backwards
	ahead time.Duration
}

// tick runs before each command. During a script miniredis is locked, and time stands still
// for the commands of the script.
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

// step sets the clock ahead by d. Redis keeps the moment at which a key expires, so that a
// key lives longer after a step back. miniredis keeps the time that is left.
func (c *clock) step(d time.Duration) {
	c.mini.Server().SetPreHook(c.tick) // Bubble's has none before the first step
	c.advance(0)
	if d >= 0 {
		c.advance(d)
		return
	}
	for _, key := range c.mini.Keys() {
		if ttl := c.mini.TTL(key); ttl > 0 {
			c.mini.SetTTL(key, ttl-d)
		}
	}
	c.advance(d)
}

// newClient returns a client with the defaults of Server.Client, changed by opts.
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
