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

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestChangesOfTheKeysOfThePrefixAreReported(t *testing.T) {
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
		n := f.count(key)
		rdb.Set(ctx, s.Prefix()+"other", 1, time.Minute)
		rdb.Set(ctx, key, 1, time.Minute)
		redistest.Eventually(t, func() bool { return f.count(key) == n+1 }, "a write is reported")
		rdb.PExpire(ctx, key, time.Millisecond)
		redistest.Eventually(t, func() bool { return f.count(key) >= n+2 }, "an expiry is reported")
		if f.count(s.Prefix()+"other") != 0 {
			t.Error("a change of another prefix is reported")
		}
	}
}

func TestAnEvictionIsReported(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-random").Client()
	f, ctx := follow(t, rdb, "x"), t.Context()
	f.await("x", nil)
	rdb.Set(ctx, "x", 1, time.Hour)
	n := 0
	redistest.Eventually(t, func() bool { n = f.count("x"); return n > 0 }, "the write is reported")
	big := make([]byte, 100_000)
	for i := 0; rdb.Exists(ctx, "x").Val() == 1; i++ {
		rdb.Set(ctx, string(rune('a'+i%20)), big, time.Hour)
		rdb.Set(ctx, string(rune('A'+i%20)), big, time.Hour)
	}
	redistest.Eventually(t, func() bool { return f.count("x") > n }, "the eviction is reported")
}

func TestALostConnectionEndsItsEpoch(t *testing.T) {
	t.Parallel()
	proxy := redistest.StartProxy(t, redistest.Real(t).Addr())
	rdb := redis.NewClient(&redis.Options{Addr: proxy.Addr()})
	defer rdb.Close()
	f := follow(t, rdb, "x")
	first := f.await("x", nil)
	proxy.Down()
	redistest.Eventually(t, func() bool { return !first.Valid(Now()) }, "the epoch ends")
	if f.epoch("x") != nil {
		t.Error("an epoch without a connection")
	}
	proxy.Up()
	f.await("x", first)
	if first.Valid(Now()) {
		t.Error("the epoch of the lost connection is valid again")
	}
	if !f.hasError(func(error) bool { return true }) {
		t.Error("OnError received nothing")
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
	redistest.Eventually(t, func() bool { return !first.Valid(Now()) }, "the epoch ends")
	if took := Now() - silent; took > liveness+time.Second {
		t.Errorf("the epoch ended after %v", took)
	}
	// The clock alone ends it, whatever the goroutine does that reads the connection.
	if newEpoch(silent).Valid(silent + liveness) {
		t.Error("an epoch is valid although no PING was answered for liveness")
	}
	proxy.Heal()
	f.await("x", first)
}

func TestAnIdleConnectionKeepsItsEpoch(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	f := follow(t, s.Client(), s.Prefix())
	first := f.await("x", nil)
	began := first.pinged.Load()
	redistest.Eventually(t, func() bool { return first.pinged.Load() > began+int64(liveness) }, "PONGs prolong it")
	if f.epoch("x") != first {
		t.Error("another epoch")
	}
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
			writer.Go(func() { // announcements of old changes, until the test ends
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
	before := f.count("k")
	redistest.Eventually(t, func() bool { return f.count("k") > before+10 }, "announcements go on")
	if f.epoch("k") != nil {
		t.Error("there is an epoch though no PING has been answered")
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

func TestAPanickingOnInvalidateEndsTheEpoch(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	var panicked atomic.Bool
	f := follow(t, s.Client(), s.Prefix(), func(c *Config) {
		c.OnInvalidate = func(string) {
			if !panicked.Swap(true) {
				panic("canary")
			}
		}
	})
	first := f.await(s.Prefix(), nil)
	s.Client().Set(t.Context(), s.Prefix(), 1, time.Minute)
	f.await(s.Prefix(), first)
	if first.Valid(Now()) {
		t.Error("the epoch is valid, though an announcement was lost")
	}
	if !f.hasError(func(err error) bool { _, ok := errors.AsType[*life.PanicError](err); return ok }) {
		t.Errorf("reported %v, want a *life.PanicError", f.errs)
	}
}

// A watchedConn sends what is written to the channel written, too.
type watchedConn struct {
	net.Conn
	written chan<- string
}

func (c watchedConn) Write(b []byte) (int, error) {
	c.written <- string(b)
	return c.Conn.Write(b)
}

// A user that may not UNSUBSCRIBE can close a Tracker before the server has confirmed.
func TestCloseSendsNoUNSUBSCRIBE(t *testing.T) {
	t.Parallel()
	server := redistest.Real(t)
	for i := range 100 {
		written := make(chan string, 100)
		rdb := redis.NewClient(&redis.Options{Addr: server.Addr(), Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return watchedConn{conn, written}, err
		}})
		defer rdb.Close()
		f := follow(t, rdb, "x")
		f.Primary(t.Context(), "x")
		for !strings.Contains(<-written, "\r\nsubscribe\r\n") {
		}
		f.Close()
		close(written)
		for sent := range written {
			if strings.Contains(sent, "unsubscribe") {
				t.Fatalf("client %d sent UNSUBSCRIBE", i)
			}
		}
	}
}
