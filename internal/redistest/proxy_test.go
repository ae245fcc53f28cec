package redistest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// proxied runs test with a proxy, a client through it, and a client past it.
func proxied(t *testing.T, test func(t *testing.T, p *Proxy, through, past *redis.Client, key string)) {
	t.Parallel()
	Run(t, func(t *testing.T, s *Server) {
		p := StartProxy(t, s.Addr())
		through := s.Client(func(o *redis.Options) {
			o.Addr, o.ReadTimeout = p.Addr(), time.Minute
		})
		test(t, p, through, s.Client(), s.Prefix())
	})
}

func TestTheServerExecutesACommandWhoseReplyIsDropped(t *testing.T) {
	proxied(t, func(t *testing.T, p *Proxy, through, past *redis.Client, key string) {
		ctx := t.Context()
		dropped := p.DropReply(key)
		err := through.Incr(ctx, key).Err()
		if !errors.Is(err, io.EOF) {
			t.Errorf("INCR without its reply: %v", err)
		}
		<-dropped
		if n := past.Get(ctx, key).Val(); n != "1" {
			t.Errorf("the server has %q", n)
		}
		if n, err := through.Incr(ctx, key).Result(); n != 2 {
			t.Errorf("the next INCR: %d, %v", n, err)
		}
		if p.Connections() != 2 || p.Requests("INCR") != 2 {
			t.Errorf("%d connections, %d INCRs", p.Connections(), p.Requests("INCR"))
		}
	})
}

func TestOnlyTheMatchingReplyIsDropped(t *testing.T) {
	proxied(t, func(t *testing.T, p *Proxy, through, past *redis.Client, key string) {
		ctx := t.Context()
		p.DropReply(key + ":b")
		// go-redis fails the whole pipeline, so the test reads the bytes.
		conn, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		var pipeline strings.Builder
		for _, k := range []string{key + ":a", key + ":b", key + ":c"} {
			fmt.Fprintf(&pipeline, "*2\r\n$4\r\nINCR\r\n$%d\r\n%s\r\n", len(k), k)
		}
		io.WriteString(conn, pipeline.String())
		if got, err := io.ReadAll(conn); string(got) != ":1\r\n" || err != nil {
			t.Errorf("replies %q, %v", got, err)
		}
		Eventually(t, func() bool {
			return past.Exists(ctx, key+":a", key+":b", key+":c").Val() == 3
		}, "all three are executed")
	})
}

func TestEachDropAppliesToOneCommand(t *testing.T) {
	proxied(t, func(t *testing.T, p *Proxy, through, past *redis.Client, key string) {
		ctx := t.Context()
		p.DropReply("get")
		p.DropReply("get")
		for i, wantErr := range []bool{true, true, false} {
			if err := through.Get(ctx, key).Err(); (err != redis.Nil) != wantErr {
				t.Errorf("GET %d: %v", i, err)
			}
		}
	})
}

func TestTheServerExecutesACommandWhoseReplyIsDelayedAtOnce(t *testing.T) {
	proxied(t, func(t *testing.T, p *Proxy, through, past *redis.Client, key string) {
		ctx := t.Context()
		answered := p.DelayReply("SET", 50*time.Millisecond)
		start, done := time.Now(), make(chan error, 1)
		go func() { done <- through.Set(ctx, key, "v", 0).Err() }()
		<-answered
		if v := past.Get(ctx, key).Val(); v != "v" {
			t.Errorf("the server has %q", v)
		}
		if err := <-done; err != nil || time.Since(start) < 50*time.Millisecond {
			t.Errorf("SET: %v after %v", err, time.Since(start))
		}
	})
}

func TestDelayHoldsBackEveryReply(t *testing.T) {
	proxied(t, func(t *testing.T, p *Proxy, through, past *redis.Client, key string) {
		ctx := t.Context()
		through.Ping(ctx)
		p.Delay(20 * time.Millisecond)
		for range 2 {
			start := time.Now()
			if err := through.Ping(ctx).Err(); err != nil || time.Since(start) < 20*time.Millisecond {
				t.Errorf("PING: %v after %v", err, time.Since(start))
			}
		}
	})
}

func TestCutEndsOpenConnectionsAndAcceptsNewOnes(t *testing.T) {
	proxied(t, func(t *testing.T, p *Proxy, through, past *redis.Client, key string) {
		ctx := t.Context()
		sub := through.Subscribe(ctx, key)
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		if p.Open() != 1 {
			t.Errorf("%d connections open", p.Open())
		}
		p.Cut()
		if p.Open() != 0 {
			t.Errorf("%d connections open after Cut", p.Open())
		}
		if _, err := sub.Receive(ctx); !errors.Is(err, io.EOF) {
			t.Errorf("Receive on a cut connection: %v", err)
		}
		if err := through.Ping(ctx).Err(); err != nil {
			t.Errorf("PING after Cut: %v", err)
		}
	})
}

func TestAMovedAddressLeadsNewConnectionsToTheOtherServer(t *testing.T) {
	t.Parallel()
	old, moved := Mini(t), Mini(t)
	p := StartProxy(t, old.Addr())
	through := func() *redis.Client { return old.Client(func(o *redis.Options) { o.Addr = p.Addr() }) }
	before := through()
	set := func(rdb *redis.Client, key string) { rdb.Set(t.Context(), key, "v", time.Minute) }
	set(before, "first")
	p.MoveTo(moved.Addr())
	set(before, "second")
	set(through(), "third")
	if n := old.Client().Exists(t.Context(), "first", "second").Val(); n != 2 {
		t.Errorf("the old server has %d of 2 keys of the old connection", n)
	}
	if n := moved.Client().Exists(t.Context(), "third").Val(); n != 1 {
		t.Errorf("the new server has %d of 1 keys of the new connection", n)
	}
}

func TestDownRefusesUntilUp(t *testing.T) {
	proxied(t, func(t *testing.T, p *Proxy, through, past *redis.Client, key string) {
		ctx := t.Context()
		p.Down()
		p.Down()
		if err := through.Ping(ctx).Err(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("PING while down: %v", err)
		}
		p.Up()
		p.Up()
		if err := through.Ping(ctx).Err(); err != nil {
			t.Errorf("PING after Up: %v", err)
		}
	})
}

func TestABlackHoleBlocksOldAndNewConnections(t *testing.T) {
	proxied(t, func(t *testing.T, p *Proxy, through, past *redis.Client, key string) {
		ctx := t.Context()
		through.Ping(ctx)
		p.BlackHole()
		p.BlackHole()
		for _, kind := range []string{"old", "new"} {
			short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			err := through.Incr(short, key).Err()
			cancel()
			if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("INCR on an %s connection: %v", kind, err)
			}
		}
		if n := past.Exists(ctx, key).Val(); n != 0 {
			t.Error("a command reached the server")
		}
	})
}

func TestHealDeliversWhatTheBlackHoleHeldBack(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, Mini(t).Addr())
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p.BlackHole()
	io.WriteString(conn, "*1\r\n$4\r\nPING\r\n")
	conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	reply := make([]byte, 7)
	if n, err := conn.Read(reply); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes from a black hole, %v", n, err)
	}
	p.Heal()
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(conn, reply); err != nil || string(reply) != "+PONG\r\n" {
		t.Errorf("after Heal: %q, %v", reply, err)
	}
}

func TestCutAndCleanupWorkDuringABlackHole(t *testing.T) {
	proxied(t, func(t *testing.T, p *Proxy, through, past *redis.Client, key string) {
		ctx := t.Context()
		through.Ping(ctx)
		p.BlackHole()
		done := make(chan error, 1)
		go func() { done <- through.Incr(ctx, key).Err() }()
		select {
		case err := <-done:
			t.Fatalf("INCR returned: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
		p.Cut()
		if err := <-done; err == nil {
			t.Error("INCR succeeded in a black hole")
		}
	})
}

func TestAnUnreachableTargetEndsTheConnection(t *testing.T) {
	startsReal(t)
	later := StartLater(t)
	p := StartProxy(t, later.Addr())
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the proxy replies for an unreachable target")
	}
	Eventually(t, func() bool { return p.Open() == 0 }, "the connection is removed")
}

func TestTheProxyForwardsEveryKindOfReply(t *testing.T) {
	startsReal(t)
	s := Real(t)
	p := StartProxy(t, s.Addr())
	for _, protocol := range []int{2, 3} {
		rdb := s.Client(func(o *redis.Options) { o.Addr, o.Protocol = p.Addr(), protocol })
		ctx, key := t.Context(), s.Prefix()
		big := strings.Repeat("\r\n$3\r\n", 100_000)
		if err := rdb.Set(ctx, key, big, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if rdb.Get(ctx, key).Val() != big {
			t.Errorf("RESP%d: a big value came back changed", protocol)
		}
		rdb.HSet(ctx, key+":h", "a", "1", "b", "")
		if m := rdb.HGetAll(ctx, key+":h").Val(); len(m) != 2 || m["a"] != "1" {
			t.Errorf("RESP%d: hash %v", protocol, m)
		}
		got := rdb.Eval(ctx, `return {1, false, {}, {'x', {2}}, redis.error_reply('oops')}`, nil).Val()
		if list, ok := got.([]any); !ok || len(list) != 5 {
			t.Errorf("RESP%d: nested reply %v", protocol, got)
		}
		if err := rdb.Do(ctx, "no-such-command").Err(); err == nil {
			t.Errorf("RESP%d: no error reply", protocol)
		}
		sub := rdb.Subscribe(ctx, key)
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		rdb.Publish(ctx, key, "hello")
		if msg, err := sub.ReceiveMessage(ctx); err != nil || msg.Payload != "hello" {
			t.Errorf("RESP%d: message %v, %v", protocol, msg, err)
		}
		sub.Close()
	}
}

func TestTheProxyWorksAfterFaultsUnderLoad(t *testing.T) {
	proxied(t, func(t *testing.T, p *Proxy, through, past *redis.Client, key string) {
		ctx := t.Context()
		var wg sync.WaitGroup
		over := make(chan struct{})
		for range 8 {
			wg.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
						_ = through.Incr(ctx, key).Err()
					}
				}
			})
		}
		for range 5 {
			p.DropReply("INCR")
			p.DelayReply("INCR", time.Millisecond)
			p.Cut()
			p.BlackHole()
			p.Heal()
			p.Down()
			p.Up()
		}
		Eventually(t, func() bool { return through.Incr(ctx, key).Err() == nil }, "the proxy works again")
		close(over)
		wg.Wait()
		n, err := past.Get(ctx, key).Int()
		if err != nil || n == 0 || n > p.Requests("INCR") {
			t.Errorf("%d executed of %d forwarded, %v", n, p.Requests("INCR"), err)
		}
	})
}

func TestThrottleCarriesSoManyBytesASecond(t *testing.T) {
	proxied(t, func(t *testing.T, p *Proxy, through, past *redis.Client, key string) {
		ctx := t.Context()
		if err := past.Set(ctx, key, strings.Repeat("v", 10_000), time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		through.Ping(ctx)
		p.Throttle(100_000)
		began := time.Now()
		if got := through.Get(ctx, key).Val(); len(got) != 10_000 {
			t.Errorf("%d bytes", len(got))
		}
		if took := time.Since(began); took < 100*time.Millisecond {
			t.Errorf("10 kB took %v through 100 kB a second", took)
		}
	})
}
