package tracking

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// A follower is a Tracker and what it told.
type follower struct {
	*Tracker
	t    testing.TB
	mu   sync.Mutex
	keys map[string]int
	errs []error
}

func follow(t testing.TB, rdb redis.UniversalClient, prefix string, set ...func(*Config)) *follower {
	t.Helper()
	f := &follower{t: t, keys: map[string]int{}}
	cfg := Config{
		Prefix: prefix,
		OnInvalidate: func(key string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.keys[key]++
		},
		OnError: func(err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.errs = append(f.errs, err)
		},
	}
	for _, s := range set {
		s(&cfg)
	}
	var err error
	if f.Tracker, err = New(rdb, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// epoch is the one of key, if it is valid.
func (f *follower) epoch(key string) *Epoch {
	if _, e := f.Master(f.t.Context(), key); e.Valid(Now()) {
		return e
	}
	return nil
}

// await returns an epoch of key other than old.
func (f *follower) await(key string, old *Epoch) *Epoch {
	f.t.Helper()
	var e *Epoch
	redistest.Eventually(f.t, func() bool { e = f.epoch(key); return e != nil && e != old }, "another epoch")
	return e
}

func (f *follower) told(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keys[key]
}

func (f *follower) hasError(is func(error) bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, err := range f.errs {
		if is(err) {
			return true
		}
	}
	return false
}

func TestKeysOfThePrefixAreTold(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	for _, protocol := range []int{2, 3} {
		rdb := s.Client(func(o *redis.Options) { o.Protocol = protocol })
		f, ctx := follow(t, rdb, s.Prefix()+":"), t.Context()
		key := s.Prefix() + ":1"
		f.await(key, nil)
		if f.State() != Tracking {
			t.Errorf("state %v", f.State())
		}
		n := f.told(key)
		rdb.Set(ctx, s.Prefix()+"other", 1, time.Minute)
		rdb.Set(ctx, key, 1, time.Minute)
		redistest.Eventually(t, func() bool { return f.told(key) == n+1 }, "a write is told")
		rdb.PExpire(ctx, key, time.Millisecond)
		redistest.Eventually(t, func() bool { return f.told(key) >= n+2 }, "an expiry is told")
		if f.told(s.Prefix()+"other") != 0 {
			t.Error("told of another prefix")
		}
	}
}

func TestNothingIsSentBeforeMasterIsCalled(t *testing.T) {
	t.Parallel()
	proxy := redistest.StartProxy(t, redistest.Real(t).Addr())
	rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
	defer rdb.Close()
	f := follow(t, rdb, "x")
	if f.State() != Connecting {
		t.Errorf("state %v", f.State())
	}
	f.Close()
	f.Master(t.Context(), "x") // nor after Close
	if n := proxy.Connections(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// A watchedConn sends what is written to seen too.
type watchedConn struct {
	net.Conn
	seen chan<- string
}

func (c watchedConn) Write(b []byte) (int, error) {
	c.seen <- string(b)
	return c.Conn.Write(b)
}

// Who leaves before the server has confirmed needs no further permission.
func TestASubscriptionIsNotTakenBack(t *testing.T) {
	t.Parallel()
	server := redistest.Real(t)
	for i := range 100 {
		seen := make(chan string, 100)
		rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return watchedConn{conn, seen}, err
		}})
		defer rdb.Close()
		f := follow(t, rdb, "x")
		f.Master(t.Context(), "x")
		for !strings.Contains(<-seen, "\r\nsubscribe\r\n") {
		}
		f.Close()
		close(seen)
		for sent := range seen {
			if strings.Contains(sent, "unsubscribe") {
				t.Fatalf("client %d took its subscription back", i)
			}
		}
	}
}

func TestALostConnectionEndsItsEpoch(t *testing.T) {
	t.Parallel()
	proxy := redistest.StartProxy(t, redistest.Real(t).Addr())
	rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
	defer rdb.Close()
	f := follow(t, rdb, "x")
	first := f.await("x", nil)
	proxy.Down()
	redistest.Eventually(t, func() bool { return !first.Valid(Now()) }, "it is noticed")
	if f.epoch("x") != nil {
		t.Error("an epoch without a connection")
	}
	proxy.Up()
	f.await("x", first)
	if first.Valid(Now()) {
		t.Error("a lost connection's epoch came back")
	}
	if !f.hasError(func(error) bool { return true }) {
		t.Error("OnError was not told")
	}
}

func TestASilentConnectionEndsItsEpoch(t *testing.T) {
	t.Parallel()
	proxy := redistest.StartProxy(t, redistest.Real(t).Addr())
	rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
	defer rdb.Close()
	f := follow(t, rdb, "x")
	first := f.await("x", nil)
	proxy.BlackHole()
	silent := Now()
	redistest.Eventually(t, func() bool { return !first.Valid(Now()) }, "it is noticed")
	if took := Now() - silent; took > liveness+time.Second {
		t.Errorf("noticed after %v", took)
	}
	// By the clock alone, whatever the goroutine does that watches it.
	if newEpoch(silent).Valid(silent + liveness) {
		t.Error("an epoch is valid although nothing was heard for as long as that may take")
	}
	proxy.Heal()
	f.await("x", first)
}

func TestAnnouncementsAloneDoNotProlongAnEpoch(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	var asked atomic.Bool
	ended := make(chan struct{})
	var writer sync.WaitGroup
	defer writer.Wait()
	defer close(ended)
	s.Mini().Server().SetPreHook(func(p *server.Peer, name string, args ...string) bool {
		switch {
		case name == "HELLO" && len(args) == 0:
			p.WriteLen(2)
			p.WriteBulk("role")
			p.WriteBulk("master")
		case name == "CLIENT" && len(args) > 0 && strings.EqualFold(args[0], "id"):
			p.WriteInt(1)
		case name == "CLIENT" && len(args) > 0 && strings.EqualFold(args[0], "tracking"):
			p.WriteOK()
		case name == "PING": // only the first is answered
			return !asked.CompareAndSwap(false, true)
		case name == "SUBSCRIBE":
			writer.Go(func() { // old news, for as long as it is followed
				for {
					select {
					case <-time.After(10 * time.Millisecond):
						p.WriteRaw("*3\r\n$7\r\nmessage\r\n$20\r\n" + channel + "\r\n*1\r\n$1\r\nk\r\n")
						p.Flush()
					case <-ended:
						return
					}
				}
			})
			return false
		default:
			return false
		}
		return true
	})
	f := follow(t, s.Client(), "")
	first := f.await("k", nil)
	redistest.Eventually(t, func() bool { return !first.Valid(Now()) }, "the epoch ends")
	before := f.told("k")
	redistest.Eventually(t, func() bool { return f.told("k") > before+10 }, "announcements go on")
	if f.epoch("k") != nil {
		t.Error("there is an epoch though no PING has been answered")
	}
}

func TestAnIdleConnectionKeepsItsEpoch(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	f := follow(t, s.Client(), s.Prefix())
	first := f.await("x", nil)
	began := first.asked.Load()
	redistest.Eventually(t, func() bool { return first.asked.Load() > began+int64(liveness) }, "PONGs prolong it")
	if f.epoch("x") != first {
		t.Error("another epoch")
	}
}

func TestAFlushEndsTheEpoch(t *testing.T) {
	t.Parallel()
	for _, flush := range []string{"FLUSHALL", "FLUSHDB"} {
		server := redistest.Start(t)
		rdb := server.Client()
		f := follow(t, rdb, "x")
		first := f.await("x", nil)
		if err := rdb.Do(t.Context(), flush).Err(); err != nil {
			t.Fatal(err)
		}
		f.await("x", first)
		if first.Valid(Now()) {
			t.Errorf("%s left the epoch valid", flush)
		}
	}
}

func TestAnEvictionIsTold(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random").Client()
	f, ctx := follow(t, rdb, "x"), t.Context()
	f.await("x", nil)
	rdb.Set(ctx, "x", 1, time.Hour)
	n := 0
	redistest.Eventually(t, func() bool { n = f.told("x"); return n > 0 }, "the write is told")
	big := make([]byte, 100_000)
	for i := 0; rdb.Exists(ctx, "x").Val() == 1; i++ {
		rdb.Set(ctx, string(rune('a'+i%20)), big, time.Hour)
		rdb.Set(ctx, string(rune('A'+i%20)), big, time.Hour)
	}
	redistest.Eventually(t, func() bool { return f.told("x") > n }, "the eviction is told")
}

func TestARefusalIsAskedAgainLater(t *testing.T) {
	t.Parallel()
	for _, untracked := range []bool{false, true} {
		server := redistest.Start(t)
		admin, ctx := server.Client(), t.Context()
		if err := admin.Do(ctx, "ACL", "SETUSER", "app", "on", "nopass", "~*", "+@all", "-client|tracking", "&*").Err(); err != nil {
			t.Fatal(err)
		}
		rdb := server.Client(func(o *redis.Options) { o.Username, o.Password = "app", "any" })
		f := follow(t, rdb, "x", func(c *Config) { c.Untracked, c.Again = untracked, 50*time.Millisecond })
		state := Refused
		if untracked {
			state = Untracked
		}
		redistest.Eventually(t, func() bool { f.epoch("x"); return f.State() == state }, "refused")
		if !f.hasError(redis.IsPermissionError) {
			t.Errorf("told %v", f.errs)
		}
		first := f.epoch("x")
		if untracked != (first != nil) {
			t.Errorf("epoch %v, untracked %v", first, untracked)
		}
		if err := admin.Do(ctx, "ACL", "SETUSER", "app", "+client|tracking").Err(); err != nil {
			t.Fatal(err)
		}
		redistest.Eventually(t, func() bool { return f.State() == Tracking }, "granted")
		second := f.await("x", first)
		if first.Valid(Now()) {
			t.Error("the untracked epoch goes on")
		}
		admin.Do(ctx, "ACL", "SETUSER", "app", "-client|tracking")
		admin.ClientKillByFilter(ctx, "USER", "app")
		redistest.Eventually(t, func() bool { return f.State() == state }, "refused again")
		if second.Valid(Now()) {
			t.Error("the tracked epoch goes on")
		}
	}
}

func TestAServerThatCannotTrackRefuses(t *testing.T) {
	t.Parallel()
	f := follow(t, redistest.Mini(t).Client(), "x")
	redistest.Eventually(t, func() bool { f.epoch("x"); return f.State() == Refused }, "refused")
}

func TestTheChannelMayBeForbidden(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	if err := server.Client().Do(t.Context(), "ACL", "SETUSER", "app", "on", "nopass", "~*", "+@all", "resetchannels").Err(); err != nil {
		t.Fatal(err)
	}
	f := follow(t, server.Client(func(o *redis.Options) { o.Username, o.Password = "app", "any" }), "x")
	redistest.Eventually(t, func() bool {
		if f.epoch("x") != nil {
			t.Error("an epoch without a subscription")
		}
		return f.State() == Refused
	}, "refused")
}

func TestAReplicaHasNoEpoch(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.Start(t, "--replicaof", "127.0.0.1 "+portOf(master))
	f := follow(t, replica.Client(), "x")
	redistest.Eventually(t, func() bool {
		if f.epoch("x") != nil {
			t.Error("an epoch at a replica")
		}
		return f.hasError(func(err error) bool { return errors.Is(err, errReplica) })
	}, "OnError is told")
}

func TestCloseEndsEpochs(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	f := follow(t, s.Client(), s.Prefix())
	first := f.await("x", nil)
	f.Close()
	f.Close()
	if first.Valid(Now()) || f.epoch("x") != nil {
		t.Error("an epoch after Close")
	}
}

func TestClientsThatReadFromReplicasAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []redis.ClusterOptions{{ReadOnly: true}, {RouteByLatency: true}, {RouteRandomly: true}} {
		o.Addrs = []string{"127.0.0.1:1"}
		rdb := redis.NewClusterClient(&o)
		if _, err := New(rdb, Config{}); !errors.Is(err, errReadsReplicas) {
			t.Errorf("New = %v", err)
		}
		rdb.Close()
	}
}
