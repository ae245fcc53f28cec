package primary

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestAPanicOfAUsersDialerEndsNoLooks(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cfg := config(t)
	var dials atomic.Int32
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) == 2 { // that of the first look
			panic("a user's")
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	w := New(cfg)
	h, _ := follow(t, w, server.Addr())
	first := h.lastConfirmed()
	redistest.Eventually(t, func() bool { return h.lastConfirmed().After(first) }, "a later look confirms")
}

func TestAConfirmationOfAnotherTermConfirmsNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	w := New(config(t))
	follow(t, w, server.Addr())
	last := w.term()
	w.demoted(time.Now())
	h, _ := follow(t, w, server.Addr())
	before := h.lastConfirmed()
	if w.confirm(last, time.Now()); h.lastConfirmed() != before {
		t.Error("the server of the next term was confirmed")
	}
}

// While terms are frozen, no server is chosen. After that, one is.
func TestAFreezeConfirmsNothingAndEndsWithOneServer(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t), redistest.Start(t)
	w := New(config(t))
	here, _ := follow(t, w, one.Addr())
	w.mu.Lock()
	w.frozen = time.Now().Add(time.Minute)
	w.mu.Unlock()
	there, conn := follow(t, w, two.Addr())
	if !there.lastConfirmed().IsZero() {
		t.Error("the dial confirmed one of two servers")
	}
	w.mu.Lock()
	w.frozen = time.Time{}
	w.mu.Unlock()
	now := time.Now()
	w.confirm(w.term(), now)
	if !here.lastConfirmed().Equal(now) || !there.lastConfirmed().IsZero() || !isClosed(conn) {
		t.Errorf("confirmed %v and %v, closed %v", here.lastConfirmed(), there.lastConfirmed(), isClosed(conn))
	}
}

// An address may lead to a primary and its replica by turns.
func TestAPrimaryAndAReplicaAtOneAddressFreezeTheTerms(t *testing.T) {
	t.Parallel()
	server, replica := redistest.Start(t), redistest.Start(t)
	demote(t, replica, server)
	cfg := config(t)
	reported := make(chan error, 10)
	cfg.OnError = func(err error) { reported <- err }
	w := New(cfg)
	var conns []net.Conn
	for i := range 20 {
		conn, err := w.Dial(t.Context(), "tcp", []*redistest.Process{server, replica}[i%2].Addr())
		if err == nil {
			defer conn.Close()
			conns = append(conns, conn)
		}
	}
	open := 0
	for _, conn := range conns {
		if !isClosed(conn) {
			open++
		}
	}
	if open < 10 {
		t.Errorf("%d of 20 connections are open: terms go on ending", open)
	}
	select {
	case err := <-reported:
		if !errors.Is(err, ErrTwoServers) {
			t.Error(err)
		}
	case <-time.After(time.Second):
		t.Error("nothing was reported")
	}
}

// A server whose first greeting did not say it, as while a script of somebody's is busy.
func TestARunIDThatIsLearnedLaterCounts(t *testing.T) {
	t.Parallel()
	w := New(config(t))
	for _, run := range []string{"", "a", "b"} {
		s, _ := pair(t, w)
		if err := w.admit(s, "", Peer{role: "master", run: run}, time.Now(), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if open := w.open(); open != 1 {
		t.Errorf("%d connections are open after the server was another one", open)
	}
}

func TestALookAtAServerWithoutHelloDialsNoMoreThanAnother(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--rename-command", "HELLO", "")
	cfg := config(t)
	dials := countDials(&cfg)
	w := New(cfg)
	h, _ := follow(t, w, server.Addr())
	first := h.lastConfirmed()
	redistest.Eventually(t, func() bool { return h.lastConfirmed().After(first.Add(2 * time.Second)) }, "looks confirm")
	if n := dials.Load(); n != 2 {
		t.Errorf("%d dials, and not one for the connection and one for the looks", n)
	}
}

func TestTimeoutsCauseFewDials(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cfg := config(t)
	dials := countDials(&cfg)
	w := New(cfg)
	conn, err := w.Dial(t.Context(), "tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for start := time.Now(); time.Since(start) < time.Second; time.Sleep(time.Millisecond) {
		w.TimedOut(time.Now())
	}
	if n := dials.Load(); n > 20 {
		t.Errorf("%d dials in a second", n)
	}
}

func TestDialsThatFailAreFewInAnySecond(t *testing.T) {
	t.Parallel()
	d := dials{}
	start := time.Now()
	begun := 0
	for i := range 100 { // the first second has begun, and ends among those that follow
		at := start
		if i > 0 {
			at = start.Add(950*time.Millisecond + time.Duration(i)*time.Millisecond)
		}
		if d.enter(at) == nil {
			d.leave(errOlder)
			begun++
		}
	}
	if begun > 20 {
		t.Errorf("%d dials within 100 ms", begun)
	}
}

// clusterOf returns a Cluster over real nodes, whose map is known.
func clusterOf(t *testing.T) (*Cluster, *redistest.Cluster) {
	t.Helper()
	nodes := redistest.StartCluster(t, 3)
	c := NewCluster(config(t))
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: nodes.Addrs(), Dialer: c.Dial, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { rdb.Close() })
	c.Attach(rdb)
	if err := rdb.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error { return node.Ping(ctx).Err() }); err != nil {
		t.Fatal(err)
	}
	return c, nodes
}

func TestNoMoreThanFourDialsAreUnderWayToAServerThatIsNotWell(t *testing.T) {
	t.Parallel()
	d := dials{}
	now := time.Now()
	for range unwell {
		_ = d.enter(now)
		d.leave(errOlder)
	}
	now = now.Add(2 * time.Second) // so that only the dials under way are too many
	for n := range 4 {
		if err := d.enter(now); err != nil {
			t.Fatalf("dial %d: %v", n+1, err)
		}
	}
	if err := d.enter(now); !errors.Is(err, errOlder) {
		t.Errorf("a fifth dial got %v, want the last failure", err)
	}
	d.leave(nil)
	for range 8 { // it is well again
		if err := d.enter(now); err != nil {
			t.Error(err)
		}
	}
}

func TestADialConfirmsNoNodeOfACluster(t *testing.T) {
	t.Parallel()
	c, nodes := clusterOf(t)
	for _, node := range nodes.Nodes()[1:] {
		node.Pause() // the client sits with one node in a minority
		t.Cleanup(node.Resume)
	}
	time.Sleep(fresh)
	if m, err := c.ask(t.Context()); err != nil || m.majority {
		t.Fatalf("a majority answers: %v, %v", m.majority, err)
	}
	h, _ := follow(t, c.Node(nodes.Addrs()[0]), nodes.Addrs()[0])
	if !h.lastConfirmed().IsZero() {
		t.Error("confirmed without a majority")
	}
}

// go-redis may still have the old map when a connection that was closed is made again.
func TestANodeWithoutSlotsIsNotFollowedAgain(t *testing.T) {
	t.Parallel()
	c, nodes := clusterOf(t)
	addr := nodes.Addrs()[0]
	without := slotMap{owners: map[string]bool{nodes.Addrs()[1]: true}, nodes: map[string]bool{addr: true}, majority: true}
	first, _ := follow(t, c.Node(addr), addr)
	c.apply(without, time.Now())
	again, _ := follow(t, c.Node(addr), addr)
	if !again.lastConfirmed().IsZero() {
		t.Error("confirmed without a slot")
	}
	c.apply(without, time.Now())
	if first.ended() == nil || again.ended() == nil {
		t.Errorf("ended by %v and %v", first.ended(), again.ended())
	}
}

// The client may hear a node alone that was cut off, and does not know of a failover.
func TestALowerEpochNeedsAMajorityOfTheCluster(t *testing.T) {
	t.Parallel()
	c, nodes := clusterOf(t)
	for _, node := range nodes.Nodes()[1:] {
		node.Pause()
		t.Cleanup(node.Resume)
	}
	const newer = 1 << 40
	c.last.epoch, c.last.majority = newer, true
	c.lastAt = time.Now().Add(-insistFor / 2)
	if m, err := c.ask(t.Context()); err != nil || m.epoch != newer {
		t.Errorf("the map went back to epoch %d: %v", m.epoch, err)
	}
	c.lastAt = time.Now().Add(-insistFor)
	if m, err := c.ask(t.Context()); err != nil || m.epoch == newer {
		t.Errorf("the old map stays for good: %v", err)
	}
}

func TestALookThatIsGivenUpFailsNoOther(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	w := NewSentinel(config(t), Sentinels{Name: s.MasterName(), Addrs: s.Addrs()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // select takes the turn in half of them
		_, _ = w.sentinels.look(ctx)
	}
	if _, err := w.sentinels.look(t.Context()); err != nil {
		t.Error(err)
	}
	w.mu.Lock()
	w.rested()
	w.mu.Unlock()
}

func TestSentinelsThatAreBackAreHeardAtOnce(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	cfg := config(t)
	var cut atomic.Bool
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if cut.Load() {
			return nil, errOlder
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	cut.Store(true)
	w := NewSentinel(cfg, Sentinels{Name: s.MasterName(), Addrs: s.Addrs()})
	defer w.sentinels.hangUp()
	for range 2 {
		if _, err := w.sentinels.look(t.Context()); !errors.Is(err, errOlder) {
			t.Errorf("the cause is lost: %v", err)
		}
		time.Sleep(fresh)
	}
	cut.Store(false)
	if seen, err := w.sentinels.look(t.Context()); err != nil || !seen.majority {
		t.Errorf("%+v, %v", seen, err)
	}
}
