package primary

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func demote(t *testing.T, p, primary *redistest.Process) {
	t.Helper()
	do(t, p, "replicaof", primary.Host(), primary.Port())
}

func TestTheFirstRefusalOfADemotedServerRetiresAllItsConnections(t *testing.T) {
	t.Parallel()
	old, next := redistest.Start(t), redistest.Start(t)
	proxy := redistest.StartProxy(t, old.Addr())
	w := New(config(t))
	rdb := client(t, w, proxy.Addr())
	warm(t, rdb, 8)
	h, conn := follow(t, w, proxy.Addr())
	demote(t, old, next)
	proxy.MoveTo(next.Addr())

	began := time.Now()
	err := rdb.Set(t.Context(), "k", "v", time.Minute).Err()
	if !redis.IsReadOnlyError(err) {
		t.Fatalf("the demoted server answered %v", err)
	}
	w.Refused(began, err)
	if !errors.Is(h.ended(), ErrDemoted) || !isClosed(conn) {
		t.Errorf("the one that followed heard %v", h.ended())
	}
	for range 12 { // each would find one of the old connections
		if err := rdb.Set(t.Context(), "k", "v", time.Minute).Err(); err != nil {
			t.Errorf("after the first refusal: %v", err)
		}
	}
}

func TestADialFindsNoReplicaWhereAPrimaryWas(t *testing.T) {
	t.Parallel()
	server, other := redistest.Start(t), redistest.Start(t)
	w := New(config(t))
	h, _ := follow(t, w, server.Addr())
	demote(t, server, other)
	if _, err := w.Dial(t.Context(), "tcp", server.Addr()); !errors.Is(err, ErrReplica) {
		t.Errorf("dialled a replica: %v", err)
	}
	if !errors.Is(h.ended(), ErrDemoted) {
		t.Errorf("the older connection stayed: %v", h.ended())
	}
	do(t, server, "replicaof", "no", "one")
	redistest.Eventually(t, func() bool { // the dials are bounded after a failure
		conn, err := w.Dial(t.Context(), "tcp", server.Addr())
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, "the primary is dialled again")
}

func TestAReplicaThatWasDialledFirstIsWanted(t *testing.T) {
	t.Parallel()
	server, other := redistest.Start(t), redistest.Start(t)
	demote(t, server, other)
	w := New(config(t))
	rdb := client(t, w, server.Addr())
	h, _ := follow(t, w, server.Addr())
	for range 3 {
		began := time.Now()
		err := rdb.Set(t.Context(), "k", "v", time.Minute).Err()
		if !redis.IsReadOnlyError(err) {
			t.Fatal(err)
		}
		w.Refused(began, err)
	}
	if err := h.ended(); err != nil {
		t.Errorf("the connection that follows was closed: %v", err)
	}
	do(t, server, "replicaof", "no", "one")
	if err := rdb.Set(t.Context(), "k", "v", time.Minute).Err(); err != nil {
		t.Errorf("promoted: %v", err)
	}
}

func TestARefusalOfAnEarlierTermEndsNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	w := New(config(t))
	before := time.Now().Add(-time.Second)
	h, _ := follow(t, w, server.Addr())
	w.demoted(before)
	if err := h.ended(); err != nil {
		t.Errorf("ended: %v", err)
	}
	for range 5 { // a server that calls itself a primary all the same
		w.demoted(time.Now())
		conn, err := w.Dial(t.Context(), "tcp", server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if w.open() != 5 {
		t.Errorf("%d of 5 connections stayed open after the first refusal of a second", w.open())
	}
}

func TestADemotionIsSeenWithoutAWrite(t *testing.T) {
	t.Parallel()
	server, other := redistest.Start(t), redistest.Start(t)
	w := New(config(t))
	h, _ := follow(t, w, server.Addr())
	redistest.Eventually(t, func() bool { return w.open() == 2 }, "the looks have a connection")
	demote(t, server, other)
	redistest.Eventually(t, func() bool { return h.ended() != nil }, "the connection is retired")
}

func TestAnAddressThatMovesInSilenceIsSeen(t *testing.T) {
	t.Parallel()
	old, next := redistest.Start(t), redistest.Start(t)
	proxy := redistest.StartProxy(t, old.Addr())
	cfg := config(t)
	cfg.Anew = 100 * time.Millisecond
	w := New(cfg)
	h, _ := follow(t, w, proxy.Addr())
	proxy.MoveTo(next.Addr()) // the old one stays a primary, and answers on
	redistest.Eventually(t, func() bool { return h.ended() != nil }, "the old connection is retired")
	if !errors.Is(h.ended(), ErrMoved) {
		t.Errorf("the cause is %v", h.ended())
	}
}

func TestTwoServersAtOneAddressConfirmNothing(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	proxy := redistest.StartProxy(t, one.Addr())
	cfg := config(t)
	reported := make(chan error, 1)
	cfg.OnError = func(err error) { reported <- err }
	w := New(cfg)
	rdb := client(t, w, proxy.Addr())
	for i := range 6 {
		proxy.MoveTo([]*redistest.Process{one, two}[i%2].Addr())
		conn := rdb.Conn()
		defer conn.Close() // so that each iteration dials
		if err := conn.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-reported; !errors.Is(err, ErrTwoServers) {
		t.Errorf("reported %v", err)
	}
	if w.open() < 3 {
		t.Errorf("%d connections are open: terms go on ending", w.open())
	}
	h, _ := follow(t, w, proxy.Addr())
	before := h.lastConfirmed()
	w.confirm(w.term(), time.Now())
	if h.lastConfirmed() != before {
		t.Error("a server was confirmed although two answer")
	}
}

func TestAServerThatRestartsAgainAndAgainIsOne(t *testing.T) {
	t.Parallel()
	w := New(config(t))
	start := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, run := range []string{"a", "b", "c", "d", "e"} {
		if w.flip(start.Add(time.Duration(i)*time.Second), run) {
			t.Errorf("restart %d passes for a second server", i)
		}
	}
	if !w.flip(start.Add(5*time.Second), "d") {
		t.Error("one that came back passes for a restart")
	}
}

func TestALookConfirmsTheServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	w := New(config(t))
	h, _ := follow(t, w, server.Addr())
	first := h.lastConfirmed()
	redistest.Eventually(t, func() bool { return h.lastConfirmed().After(first.Add(time.Second)) }, "two looks")
	server.Pause()
	time.Sleep(600 * time.Millisecond) // a look that is under way may still end
	last := h.lastConfirmed()
	time.Sleep(1500 * time.Millisecond)
	if h.lastConfirmed() != last {
		t.Error("a server that does not answer was confirmed")
	}
	server.Resume()
}

func TestWhatEndsHearsItOnceAndOthersNever(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	w := New(config(t))
	closed, conn := follow(t, w, server.Addr())
	conn.Close()
	open, _ := follow(t, w, server.Addr())
	w.demoted(time.Now())
	w.mu.Lock()
	w.end(ErrMoved)
	w.mu.Unlock()
	if closed.ended() != nil || len(open.ends) != 1 {
		t.Errorf("a closed connection heard %v, an open one %v", closed.ends, open.ends)
	}
}

func TestLooksEndWithTheLastConnection(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	w := New(config(t))
	_, conn := follow(t, w, server.Addr())
	redistest.Eventually(t, func() bool { return w.open() == 2 }, "the looks have a connection")
	conn.Close()
	redistest.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return !w.looking && len(w.sockets) == 0
	}, "no look and no connection is left")
}

func TestDialsHonourTheirContext(t *testing.T) {
	t.Parallel()
	proxy := redistest.StartProxy(t, redistest.Start(t).Addr())
	proxy.BlackHole()
	cfg := config(t)
	cfg.Timeout = time.Minute
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := New(cfg).Dial(ctx, "tcp", proxy.Addr()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
