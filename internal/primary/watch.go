// Package primary knows which server counts, and retires the connections that lead
// elsewhere.
//
// After a failover a pool, the announcements of a near cache and the subscriptions of
// a hub may all stay with a server to which nobody writes any more. None of them sees
// it by itself: that server answers. So one Watch dials for all of them. It asks who
// the server is on each new connection, before it returns the connection, and it
// keeps a list of the connections that are open. When another server begins to count,
// it closes those of the old one before it returns the first one of the new.
//
//   - watch.go: a Watch, its terms, and what begins and ends them.
//   - dial.go: one dial, from the address to the registered connection.
//   - greet.go: what a new connection asks, and reads.
//   - socket.go: a connection that can be retired, and tested before it is used again.
//   - look.go: the looks at rest, at one address.
//   - sentinels.go: what the Sentinels say.
//   - cluster.go, slots.go: one Watch for each node of a Cluster, and their one map.
//   - listeners.go: who else hears that another server counts.
//   - suspect.go: what a time-out says about the other connections.
package primary

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
)

// DialFunc is the type of go-redis's Options.Dialer.
type DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// Config is how a Watch reaches its server. Each field is required but for the last three.
type Config struct {
	// Dial opens one connection, with TLS if that is wanted.
	Dial DialFunc
	// Credentials returns those of a new connection.
	Credentials func(ctx context.Context) (username, password string, err error)
	// Timeout bounds a dial with its greeting, and each question of a look.
	Timeout time.Duration
	// Anew is how often a look dials anew at an address that may lead to another
	// server by now.
	Anew time.Duration
	// OnError receives what no caller gets. The errors carry no data.
	OnError func(error)
	// Sections are those of INFO that Judge needs, beside the section server.
	Sections []string
	// Judge returns an error if the server at addr is not the one that is meant. The
	// dial fails with it. Nil accepts every server.
	Judge func(addr string, who Peer) error
	// Replica is the error of a dial that finds a replica at one address where no primary
	// was before. Nil accepts it.
	Replica error
}

// A Watch dials one server: that at an address, or the primary that Sentinels name.
// It is safe for concurrent use. It owns a goroutine while connections need one, and
// nothing else that would have to be closed.
type Watch struct {
	cfg       Config
	sections  []string   // of INFO, for the greeting
	sentinels *sentinels // nil without
	cluster   *Cluster   // of which the server is a node, primary or replica; nil without
	life      *life.Life
	dials     dials

	doubts    atomic.Uint64 // how often idle connections became doubtful
	patience  atomic.Int64  // how long a doubtful one may take to answer a PING
	suspected atomic.Bool   // a time-out is being looked into
	mute      atomic.Bool   // the server does not permit INFO

	listeners listeners
	wake      chan struct{} // holds a token while a look is wanted at once

	mu      sync.Mutex
	network string
	addr    string    // that was dialled last, as the client knows it
	current *term     // nil before the first
	refused time.Time // when a refusal ended the last term
	probed  time.Time // when a time-out last caused a dial
	flips   []flip
	frozen  time.Time // until then, connections of two servers are admitted
	sockets map[*socket]struct{}
	follows int // how many of them have a Follower
	flying  int // dials under way
	looking bool
}

// A term is a stretch of time in which one server counts.
type term struct {
	addr  string    // at which the server was found
	run   string    // its run id, "" if it does not say
	epoch int64     // of the Sentinels' configuration
	began time.Time // when the look or the dial that found the server began
	role  role
	over  bool // it was ended, and no other one has begun
}

const (
	// flipsWithin and maxFlips tell a server that moved from two servers behind one
	// address, between which a proxy or a name alternates. Terms freeze for freezeFor.
	flipsWithin = 10 * time.Second
	maxFlips    = 3
	freezeFor   = time.Minute

	// refusedPause is the least time between two terms that end by a refusal. A server
	// that calls itself a primary and refuses writes must not cost a dial per call.
	refusedPause = time.Second
)

// A flip is a change of server at one address.
type flip struct {
	at  time.Time
	run string // of the new one
}

// A safeError is an error of this package's own, which carries no data.
type safeError string

func (e safeError) Error() string { return string(e) }

// SafeText marks the text as free of data.
func (safeError) SafeText() {}

const (
	// ErrReplica is the error of a dial that found a replica where a primary was.
	ErrReplica safeError = "the server there is a replica now; waiting for the primary"
	// ErrMoved is why a connection was closed: another server counts.
	ErrMoved safeError = "another server is the primary now"
	// ErrDemoted is why a connection was closed: its server refuses writes.
	ErrDemoted safeError = "the server is not the primary any more"
	// ErrTwoServers is reported when one address leads to two servers by turns.
	ErrTwoServers safeError = "two servers answer by turns at one address: changes cannot be followed; give each an address of its own"

	errOlder safeError = "another server became the primary during the dial"
)

// New returns a Watch of the server at whatever address it is asked to dial.
func New(cfg Config) *Watch {
	return &Watch{
		cfg: cfg, sections: append([]string{"server"}, cfg.Sections...), life: life.New(cfg.OnError), wake: make(chan struct{}, 1),
		sockets: map[*socket]struct{}{},
	}
}

// Refused takes the news that the server refused a call that began at began. A server
// that refuses writes as a replica does not count any more: all connections to it are
// closed. On a Cluster the map is asked for again.
func (w *Watch) Refused(began time.Time, err error) {
	switch {
	case w.cluster != nil:
		if redis.IsReadOnlyError(err) || redis.IsClusterDownError(err) || redis.IsMasterDownError(err) {
			w.cluster.reload()
		}
	case redis.IsReadOnlyError(err):
		w.demoted(began)
	}
}

func (w *Watch) demoted(began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.current
	if t == nil || t.over || t.role.isReplica() || began.Before(t.began) || time.Since(w.refused) < refusedPause {
		return
	}
	w.refused = time.Now()
	w.end(ErrDemoted)
	w.lookSoon()
}

// end ends the current term: it closes all connections. It needs w.mu.
func (w *Watch) end(cause error) {
	w.current.over = true
	for s := range w.sockets {
		s.retire(cause)
	}
}

// unfollow closes the connections that follow the server.
func (w *Watch) unfollow(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.sockets {
		if s.follower != nil {
			s.retire(cause)
		}
	}
}

func (w *Watch) followed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.follows > 0
}

// begin makes next the current term. It needs w.mu.
func (w *Watch) begin(next *term) {
	last := w.current
	if last != nil && !last.over {
		w.end(ErrMoved)
	}
	w.current = next
	if last != nil {
		w.listeners.call()
	}
}

// flip counts a change of server at one address, to that with a run id, and reports
// whether it is too many. A server that restarts again and again has another run id each
// time: only one that comes back shows that there are two. It needs w.mu.
func (w *Watch) flip(now time.Time, run string) (tooMany bool) {
	recent, cameBack := w.flips[:0], false
	for _, f := range w.flips {
		if now.Sub(f.at) < flipsWithin {
			recent = append(recent, f)
			cameBack = cameBack || f.run == run
		}
	}
	w.flips = append(recent, flip{now, run})
	if len(w.flips) < maxFlips || !cameBack {
		return false
	}
	w.flips = nil
	w.frozen = now.Add(freezeFor)
	w.life.Go(context.Background(), func(context.Context) { w.cfg.OnError(ErrTwoServers) })
	return true
}

// term returns the current term.
func (w *Watch) term() *term {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.current
}

// confirm says that the server of t, which was the current term when it was asked, still
// counted at the time at. Connections to the other one of two servers, between which a
// freeze did not choose, are closed.
func (w *Watch) confirm(t *term, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t == nil || t != w.current || t.over || at.Before(w.frozen) {
		return
	}
	for s := range w.sockets {
		switch {
		case s.run != t.run && s.run != "" && t.run != "":
			s.retire(ErrMoved)
		case s.follower != nil:
			s.follower.OnConfirm(at)
		}
	}
}

// lookSoon asks for a look at once.
func (w *Watch) lookSoon() {
	if w.cluster != nil {
		w.cluster.reload()
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// A Follower hears about the server of the connection that it is dialled with. Its
// functions must not block, and must not call the Watch.
type Follower struct {
	// OnDial is called once, before the dial returns: a Watch dialled.
	OnDial func()
	// OnEnd is called at most once: the connection is closed, because its server does
	// not count any more.
	OnEnd func(cause error)
	// OnConfirm is called each time that a look has confirmed the server, with the
	// time at which that look began.
	OnConfirm func(at time.Time)
	// OnDoubt is called when the server answers on a fresh connection, but did not
	// answer on an older one: this one may be lost, too.
	OnDoubt func()
}

type followerKey struct{}

// Follow returns a context with which a dial through a Watch has a Follower. With any
// other dialer the Follower hears nothing.
func Follow(ctx context.Context, f *Follower) context.Context {
	return context.WithValue(ctx, followerKey{}, f)
}
