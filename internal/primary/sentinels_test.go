package primary

import (
	"errors"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
)

func says(id, addr string, epoch int64, others ...string) answer {
	a := answer{from: id, id: id, addr: addr, epoch: epoch, others: map[string]string{}}
	for _, other := range others {
		a.others[other] = other
	}
	return a
}

func TestTheGreatestEpochCounts(t *testing.T) {
	t.Parallel()
	dead := answer{err: errors.New("dead")}
	for _, test := range []struct {
		name       string
		configured int
		answers    []answer
		addr       string
		majority   bool
	}{
		{"all agree", 3, []answer{says("a", "new", 2, "b", "c"), says("b", "new", 2, "a", "c"), says("c", "new", 2, "a", "b")}, "new", true},
		{"two of three", 3, []answer{says("a", "new", 2), says("b", "new", 2), dead}, "new", true},
		{"one was cut off and is first", 3, []answer{says("a", "old", 1, "b", "c"), says("b", "new", 2), says("c", "new", 2)}, "new", true},
		{"only the one that was cut off answers", 3, []answer{says("a", "old", 1, "b", "c"), dead, dead}, "old", false},
		{"the leader knows first", 3, []answer{says("a", "old", 1), says("b", "new", 2), says("c", "old", 1)}, "new", false},
		{"one is configured and knows two more", 1, []answer{says("a", "new", 2, "b", "c")}, "new", false},
		{"one is all there is", 1, []answer{says("a", "new", 0)}, "new", true},
		{"one Sentinel at two addresses", 2, []answer{says("a", "new", 2, "b"), says("a", "new", 2, "b")}, "new", false},
		{"no epoch: most votes", 3, []answer{says("a", "old", 0), says("b", "new", 0), says("c", "new", 0)}, "new", true},
	} {
		s := &sentinels{Sentinels: Sentinels{Addrs: make([]string, test.configured)}}
		v, err := s.agree(test.answers)
		if err != nil || v.addr != test.addr || v.majority != test.majority {
			t.Errorf("%s: %q, majority %v, %v", test.name, v.addr, v.majority, err)
		}
	}
	s := &sentinels{}
	if _, err := s.agree([]answer{dead}); err != dead.err {
		t.Errorf("none answers: %v", err)
	}
}

func TestOneSentinelLeadsToThePrimaryAndToTheOthers(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	w := NewSentinel(config(t), Sentinels{Name: s.MasterName(), Addrs: s.Addrs()[:1]})
	h, _ := follow(t, w, "")
	redistest.Eventually(t, func() bool { return !h.lastConfirmed().IsZero() }, "a majority confirms")
	s.Watchers()[0].Kill() // the others are known by now
	last := h.lastConfirmed()
	redistest.Eventually(t, func() bool { return h.lastConfirmed().After(last) }, "two of three confirm")
	s.Watchers()[1].Kill()
	conn, err := w.Dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatalf("one Sentinel is left: %v", err)
	}
	conn.Close()
	s.Watchers()[2].Kill()
	if conn, err = w.Dial(t.Context(), "tcp", ""); err != nil {
		t.Errorf("the primary that was known last answers: %v", err)
	} else {
		conn.Close()
	}
}

func TestAFailoverRetiresAllConnectionsToTheOldPrimary(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	w := NewSentinel(config(t), Sentinels{Name: s.MasterName(), Addrs: s.Addrs()})
	terms := make(chan struct{}, 10)
	pool := client(t, w, "")
	defer OnTerm(pool, func() { terms <- struct{}{} })()
	old := s.Master()
	warm(t, pool, 4)
	h, conn := follow(t, w, "")
	old.Pause() // its connections stay open
	redistest.Eventually(t, func() bool { return h.ended() != nil }, "the connection that follows is retired")
	if !isClosed(conn) {
		t.Error("it is open")
	}
	<-terms
	redistest.Eventually(t, func() bool { return pool.Set(t.Context(), "k", "v", 0).Err() == nil }, "the pool writes at the new primary")
	if addr := w.current.addr; addr == old.Addr() {
		t.Errorf("the current server is %s", addr)
	}
}

// Sentinels that were made anew count their epochs from 0.
func TestAMajorityIsBelievedAgainstAGreaterEpochIfItInsists(t *testing.T) {
	t.Parallel()
	start := time.Now()
	current := &term{addr: "old", epoch: 7, began: start}
	s := &sentinels{}
	for _, look := range []struct {
		after    time.Duration
		majority bool
		want     bool
	}{
		{0, true, false}, {insistFor - 1, true, false}, {insistFor, true, true}, {insistFor, false, false},
		{insistFor, true, false}, {2*insistFor - 1, true, false}, {2 * insistFor, true, true},
	} {
		seen := view{addr: "new", majority: look.majority, began: start.Add(look.after)}
		if got := s.insist(seen, current); got != look.want {
			t.Errorf("%+v: %v", look, got)
		}
	}
}

func TestAnUnknownNameIsNoMiss(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	w := NewSentinel(config(t), Sentinels{Name: "nobody", Addrs: s.Addrs()})
	_, err := w.Dial(t.Context(), "tcp", "")
	var ofSentinel *SentinelError
	if !errors.Is(err, ErrUnknownName) || !errors.As(err, &ofSentinel) {
		t.Errorf("got %v", err)
	}
	w.sentinels.mu.Lock()
	defer w.sentinels.mu.Unlock()
	if n := len(w.sentinels.clients); n != 0 {
		t.Errorf("%d connections to Sentinels are left", n)
	}
}
