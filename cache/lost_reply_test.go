package cache_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestAFillWhoseReplyIsLostIsSentAgain(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), 1 })
		var reported redistest.Recorder
		c, src := newCacheOn[string](t, s, rdb, onError(&reported)), newSource("v")
		warm(t, c)
		fills := c.Stats().Fills

		slow, call := slowLoad(t, c, src, "1")
		lost := proxy.DropReply(leaseOf(s, "1"))
		close(slow.open)
		want(t, <-call, "v")
		<-lost
		if got := c.Stats(); got.Fills != fills+1 || got.RefusedFills != 0 || stored(t, s, "1") != `"v"` {
			t.Errorf("after a lost fill: %+v, want it counted as stored", got)
		}
		if got := reported.All(); len(got) != 0 {
			t.Errorf("OnError received %v, want nothing: the client's retry made it good", got)
		}
	})
}

func TestSetIsSentOnceEvenIfItsReplyIsLost(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), 3 })
		c := newCacheOn[string](t, s, rdb)
		if err := c.Set(t.Context(), "warm", "v"); err != nil {
			t.Fatal(err)
		}
		for name, set := range map[string]func() error{
			"Set":     func() error { return c.Set(t.Context(), "1", "v") },
			"SetMany": func() error { return c.SetMany(t.Context(), map[string]string{"1": "v", "2": "v"}) },
		} {
			before := proxy.Requests("EVALSHA")
			proxy.DropReply(keyOf(s, "1"))
			if err := set(); err == nil {
				t.Errorf("%s: no error, though the reply was lost", name)
			}
			// The proxy may still be at the rest of the pipeline.
			commands := map[string]int{"Set": 1, "SetMany": 2}[name]
			redistest.Eventually(t, func() bool { return proxy.Requests("EVALSHA")-before >= commands }, name, " arrives")
			if sent := proxy.Requests("EVALSHA") - before; sent != commands {
				t.Errorf("%s was sent as %d commands, want %d", name, sent, commands)
			}
		}
	})
}

// The acquire took the lease and its reply never came: the load must not be
// stored, and the lease must not linger.
func TestAnUnknownAcquireLeavesNoLease(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), 3 })
		c, src := newCacheOn[string](t, s, rdb, patientLease), newSource("v")
		warm(t, c)
		lost := proxy.DropReply(leaseOf(s, "1"))
		want(t, get(t, c, src, "1"), "v")
		<-lost
		redistest.Eventually(t, func() bool {
			return s.Client().Exists(t.Context(), leaseOf(s, "1")).Val() == 0
		}, "the lease is given back")
		if got := stored(t, s, "1"); got != "" {
			t.Errorf("Redis holds %s, want the load not stored", got)
		}
	})
}

func TestARenewalWhoseAcquireIsLostLeavesNoLease(t *testing.T) {
	t.Parallel()
	run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) { o.Addr = proxy.Addr() })
		c := newCacheOn[string](t, s, rdb, patientLease, func(cfg *cache.Config) { cfg.RefreshAhead = 30 * time.Second })
		warm(t, c)
		s.Client().Set(t.Context(), keyOf(s, "1"), `"old"`, 20*time.Second)
		lost := proxy.DropReply(leaseOf(s, "1"))
		src := newSource("renewed")
		want(t, get(t, c, src, "1"), "old")
		<-lost
		redistest.Eventually(t, func() bool {
			return s.Client().Exists(t.Context(), leaseOf(s, "1")).Val() == 0
		}, "the lease is given back")
		if got := stored(t, s, "1"); got != `"old"` || src.count() != 0 {
			t.Errorf("Redis holds %s after %d loads, want the old value and none", got, src.count())
		}
	})
}
