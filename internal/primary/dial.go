package primary

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Dial is go-redis's Options.Dialer. The connection leads to the server that counts:
// it has said who it is. Beside those of the dial itself it takes one round trip:
// HELLO and INFO server in one write.
func (w *Watch) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	follower, _ := ctx.Value(followerKey{}).(*Follower)
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	s, err := w.dial(ctx, network, addr, follower)
	if errors.Is(err, errOlder) || hungUp(err) {
		// What it found is out of date, or a server closed all connections for a moment,
		// as when an ACL is loaded. The next dial shows what holds.
		s, err = w.dial(ctx, network, addr, follower)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (w *Watch) dial(ctx context.Context, network, addr string, follower *Follower) (s *socket, err error) {
	if err := w.dials.enter(time.Now()); err != nil {
		return nil, err
	}
	w.dialing(1, network, addr)
	defer func() {
		w.dialing(-1, network, addr)
		w.dials.leave(err)
	}()
	began := time.Now()
	confirmed := began
	switch {
	case w.sentinels != nil:
		if addr, confirmed, err = w.locate(ctx); err != nil {
			return nil, err
		}
	case w.cluster != nil: // that a node answers does not say that it counts
		confirmed = w.cluster.confirmedAt(addr)
	}
	conn, peer, err := w.reach(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	s = &socket{Conn: conn, watch: w, follower: follower}
	s.trusted.Store(w.doubts.Load())
	if err := w.admit(s, addr, peer, began, confirmed); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// dialing counts the dials that are under way. The last one leaves no connection to a
// Sentinel behind, unless looks need it.
func (w *Watch) dialing(n int, network, addr string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flying += n
	w.network, w.addr = network, addr
	w.rested()
}

// rested closes the connections to the Sentinels if nothing needs them. It needs w.mu.
func (w *Watch) rested() {
	if w.sentinels != nil && w.flying == 0 && !w.looking {
		w.sentinels.hangUp()
	}
}

// reach dials and greets.
func (w *Watch) reach(ctx context.Context, network, addr string) (net.Conn, Peer, error) {
	username, password, err := w.cfg.Credentials(ctx)
	if err != nil {
		return nil, Peer{}, err
	}
	conn, err := w.cfg.Dial(ctx, network, addr)
	if err != nil {
		return nil, Peer{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	sections := w.sections
	if w.mute.Load() && len(w.cfg.Sections) == 0 { // what Judge needs is asked for until it is granted
		sections = nil
	}
	who, err := greet(conn, username, password, sections...)
	if !stop() && err == nil {
		err = os.ErrDeadlineExceeded // it is about to strike
	}
	if err != nil {
		_ = conn.Close()
		return nil, Peer{}, greetingError(ctx, conn, err)
	}
	if who.mute {
		w.mute.Store(true)
	}
	if w.cfg.Judge != nil {
		if err := w.cfg.Judge(addr, who); err != nil {
			_ = conn.Close()
			return nil, Peer{}, err
		}
	}
	return conn, who, nil
}

// greetingError returns err as the error of a dial.
func greetingError(ctx context.Context, conn net.Conn, err error) error {
	var (
		reply replyError
		op    *net.OpError
	)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.As(err, &reply), errors.As(err, &op):
		return err
	}
	return &net.OpError{Op: "greet", Net: "tcp", Addr: conn.RemoteAddr(), Err: err}
}

// hungUp reports whether a server accepted a connection and closed it.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// admit decides whether s leads to the server that counts, and registers it if so.
// That is one step: no term begins in between. confirmed is when the server is known to
// have counted, zero if that is not known.
func (w *Watch) admit(s *socket, addr string, who Peer, began, confirmed time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.current
	found := &term{addr: addr, run: who.run, began: began, role: who.role}
	switch {
	case w.sentinels != nil && addr != t.addr:
		return errOlder
	case w.cluster == nil && who.role.isReplica() && !began.Before(w.frozen) && (w.sentinels != nil || t != nil && t.role.isPrimary()):
		if w.sentinels == nil && !t.over && !began.Before(t.began) && !w.flip(began, who.run) {
			w.end(ErrDemoted) // whoever answers there, the primary is not there any more
		}
		w.lookSoon()
		return ErrReplica
	case t == nil && w.cluster == nil && who.Replica && w.cfg.Replica != nil:
		return w.cfg.Replica
	case t == nil || t.over && w.sentinels == nil:
		w.begin(found)
	case w.sentinels != nil:
		t.run, t.role, t.over = who.run, who.role, false
	case t.run == who.run || t.run == "" || who.run == "":
		t.run, t.role = cmp.Or(t.run, who.run), who.role
	case began.Before(t.began):
		return errOlder
	case began.After(w.frozen) && !w.flip(began, who.run):
		w.begin(found)
	}
	s.run = who.run
	w.sockets[s] = struct{}{}
	if s.follower != nil {
		w.follows++
		s.follower.OnDial()
		if !confirmed.IsZero() && !confirmed.Before(w.frozen) {
			s.follower.OnConfirm(confirmed)
		}
	}
	w.startLooking()
	return nil
}

// forget removes a connection that was closed.
func (w *Watch) forget(s *socket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, open := w.sockets[s]; !open {
		return
	}
	delete(w.sockets, s)
	if s.follower != nil {
		w.follows--
	}
	if w.looking && !w.needsLooks() {
		w.lookSoon() // so that they end
	}
}

const (
	// When unwell dials in a row have failed, and until one succeeds, no more than
	// maxDials are under way, and no more than dialsPerSecond begin in each second from
	// the first on. So they are at most twice as many in any second.
	unwell         = 4
	maxDials       = 4
	dialsPerSecond = 10
)

// dials bounds the dials to a server that is not well.
type dials struct {
	mu      sync.Mutex
	failed  int   // in a row
	failure error // of the last dial that failed
	flying  int
	second  time.Time
	begun   int // since second
}

// enter returns the error of the last dial if that failed and there are too many.
func (d *dials) enter(now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.second) >= time.Second {
		d.second, d.begun = now, 0
	}
	if d.failed >= unwell && (d.flying >= maxDials || d.begun >= dialsPerSecond) {
		return d.failure
	}
	d.flying++
	d.begun++
	return nil
}

func (d *dials) leave(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flying--
	switch {
	case err == nil:
		d.failed = 0
	case !errors.Is(err, context.Canceled):
		d.failed++
		d.failure = err
	}
}
