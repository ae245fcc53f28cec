package redistest

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestRunUsesBothServers(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	t.Run("group", func(t *testing.T) {
		Run(t, func(t *testing.T, s *Server) {
			if s.Real() != (s.Name() == "redis") || s.Real() != (s.Mini() == nil) {
				t.Errorf("Name %q, Real %v, Mini %v", s.Name(), s.Real(), s.Mini())
			}
			if !regexp.MustCompile(`^[a-z0-9]{12,}$`).MatchString(s.Prefix()) {
				t.Errorf("Prefix %q", s.Prefix())
			}
			if err := s.Client().Ping(t.Context()).Err(); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, s.Name())
		})
	})
	slices.Sort(seen)
	if want := []string{"miniredis", "redis"}; !slices.Equal(seen, want) {
		requireProgram(t, "redis-server")
		t.Errorf("ran on %v", seen)
	}
}

func TestTheRealServerIsShared(t *testing.T) {
	t.Parallel()
	requireProgram(t, "redis-server")
	a, b := Real(t), Real(t)
	if a.Addr() != b.Addr() || a.Prefix() == b.Prefix() {
		t.Errorf("addresses %s, %s; prefixes %s, %s", a.Addr(), b.Addr(), a.Prefix(), b.Prefix())
	}
	p, _ := sharedServer()
	t.Logf("process %d in %s", p.current().cmd.Process.Pid, p.Dir())
}

func TestAdvanceMovesTTLsAndTIMETogether(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T, s *Server) {
		ctx, rdb := t.Context(), s.Client()
		key := s.Prefix() + ":k"
		before := rdb.Time(ctx).Val()
		rdb.Set(ctx, key, "v", 50*time.Millisecond)
		rdb.Set(ctx, key+":long", "v", time.Minute)
		s.Advance(50 * time.Millisecond)
		if n, err := rdb.Exists(ctx, key).Result(); n != 0 || err != nil {
			t.Errorf("after its TTL: EXISTS %d, %v", n, err)
		}
		if passed := rdb.Time(ctx).Val().Sub(before); passed < 50*time.Millisecond {
			t.Errorf("TIME moved by %v only", passed)
		}
		if ttl := rdb.PTTL(ctx, key+":long").Val(); ttl <= 0 || ttl > time.Minute-50*time.Millisecond {
			t.Errorf("PTTL of the other key %v", ttl)
		}
	})
}

func TestTheServersClockRunsByItself(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T, s *Server) {
		ctx, rdb := t.Context(), s.Client()
		rdb.Set(ctx, s.Prefix(), "v", 20*time.Millisecond)
		Eventually(t, func() bool { return rdb.Exists(ctx, s.Prefix()).Val() == 0 }, "the key expires")

		// During a script miniredis is locked; its commands must work all the same.
		script := `redis.call('SET', KEYS[1], 'v', 'PX', 60000); return redis.call('PTTL', KEYS[1])`
		if got, err := rdb.Eval(ctx, script, []string{s.Prefix()}).Int(); got < 59000 || got > 60000 {
			t.Errorf("PTTL within a script: %v, %v", got, err)
		}
	})
}

func TestClientNeverRetriesAndHonoursDeadlines(t *testing.T) {
	t.Parallel()
	p := Start(t)
	proxy := StartProxy(t, p.Addr())
	rdb := p.Client(func(o *redis.Options) { o.Addr = proxy.Addr() })
	proxy.DropReply("INCR")
	if err := rdb.Incr(t.Context(), "n").Err(); err == nil {
		t.Error("INCR succeeded though its reply was lost")
	}
	if n := proxy.Requests("incr"); n != 1 {
		t.Errorf("%d INCRs were sent", n)
	}
	p.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := rdb.Get(ctx, "n").Err(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("GET of a paused server: %v", err)
	}
}

func TestBubblePassesFiveMinutesAtOnce(t *testing.T) {
	t.Parallel()
	Bubble(t, func(t *testing.T, s *Server) {
		ctx, rdb := t.Context(), s.Client()
		start := time.Now()
		rdb.Set(ctx, "k", "v", 5*time.Minute)
		time.Sleep(5*time.Minute - time.Millisecond)
		if v := rdb.Get(ctx, "k").Val(); v != "v" {
			t.Errorf("just before its TTL: %q", v)
		}
		s.Advance(time.Millisecond)
		if err := rdb.Get(ctx, "k").Err(); err != redis.Nil {
			t.Errorf("after its TTL: %v", err)
		}
		if d := time.Since(start); d != 5*time.Minute {
			t.Errorf("%v passed", d)
		}
		if now := rdb.Time(ctx).Val(); !now.Equal(time.Now().Truncate(time.Microsecond)) {
			t.Errorf("TIME is %v in a bubble at %v", now, time.Now())
		}
	})
}

func TestPipelinesSubscriptionsAndTimeoutsWorkInABubble(t *testing.T) {
	t.Parallel()
	Bubble(t, func(t *testing.T, s *Server) {
		ctx, rdb := t.Context(), s.Client()
		sub := rdb.Subscribe(ctx, "c")
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		if n := rdb.Publish(ctx, "c", "hello").Val(); n != 1 {
			t.Errorf("%d receivers", n)
		}
		if msg, err := sub.ReceiveMessage(ctx); err != nil || msg.Payload != "hello" {
			t.Errorf("%v, %v", msg, err)
		}
		done := make(chan error)
		for range 100 {
			go func() {
				_, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
					p.Incr(ctx, "n")
					p.PExpire(ctx, "n", time.Hour)
					return nil
				})
				done <- err
			}()
		}
		for range 100 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := rdb.Get(ctx, "n").Val(); n != "100" {
			t.Errorf("n = %s", n)
		}
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		start := time.Now()
		if err := rdb.BLPop(short, 0, "empty").Err(); err == nil || time.Since(start) != time.Second {
			t.Errorf("BLPOP: %v after %v", err, time.Since(start))
		}
	})
}

func TestCanSaysWhatTheServerDoes(t *testing.T) {
	t.Parallel()
	Run(t, func(t *testing.T, s *Server) {
		rdb := s.Client()
		for _, c := range []Cap{ACL, ClientID, ClientKill, ClientList, Config, FullInfo, ShardedPubSub, Tracking} {
			err := rdb.Do(t.Context(), c.probe...).Err()
			if s.Can(c) != (err == nil) {
				t.Errorf("%s: Can says %v, the server %v", c.name, s.Can(c), err)
			}
		}
	})
}

func TestNeedsSkipsWhatTheServerCannotDo(t *testing.T) {
	t.Parallel()
	s := Mini(t)
	t.Run("skipped", func(t *testing.T) {
		defer func() {
			if !t.Skipped() {
				t.Error("a test that needs CONFIG ran on miniredis")
			}
		}()
		s.Needs(t, Config)
	})
}
