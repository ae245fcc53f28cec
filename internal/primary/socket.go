package primary

import (
	"bufio"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// A socket is a connection that its Watch can retire.
type socket struct {
	net.Conn
	watch    *Watch
	follower *Follower // nil for a pool's
	run      string    // of its server, as in a term

	unanswered atomic.Bool   // a request was written and nothing was read since, or a read failed
	trusted    atomic.Uint64 // the Watch's doubts when it last answered to them
}

func (s *socket) Write(p []byte) (int, error) {
	if !s.unanswered.Load() {
		s.unanswered.Store(true)
	}
	return s.Conn.Write(p)
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if answered := err == nil; answered == s.unanswered.Load() {
		s.unanswered.Store(!answered) // of a pipeline, the rest may be unanswered
	}
	return n, err
}

// Close closes the connection. A request without a reply is withdrawn as far as that
// is possible: what is still in this machine's buffers is never sent. It might
// otherwise arrive after a newer request, on another connection, and undo it. What
// the network holds already may still arrive.
func (s *socket) Close() error {
	s.watch.forget(s)
	if s.unanswered.Load() {
		return s.reset()
	}
	return s.Conn.Close()
}

// reset closes the connection without sending what is still unsent. With TLS, this
// also spares the closing alert, which may block.
func (s *socket) reset() error {
	conn := s.Conn
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secured.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	}
	return s.Conn.Close()
}

// retire closes the connection because its server does not count. It needs the
// Watch's mutex.
func (s *socket) retire(cause error) {
	delete(s.watch.sockets, s)
	if s.follower != nil {
		s.watch.follows--
		s.follower.OnEnd(cause)
	}
	_ = s.reset()
}

// SyscallConn gives go-redis's pool access to the connection. The pool asks for it
// when it takes an idle connection, and discards the connection if that fails. So this
// is where a doubtful connection has to answer a PING.
func (s *socket) SyscallConn() (syscall.RawConn, error) {
	// One with a request under way is not idle: go-redis also asks there, with RESP3.
	if doubts := s.watch.doubts.Load(); s.trusted.Load() != doubts && !s.unanswered.Load() {
		if err := s.test(); err != nil {
			s.watch.patience.Store(int64(shortPatience))
			return nil, err
		}
		s.trusted.Store(doubts)
	}
	if conn, ok := s.Conn.(syscall.Conn); ok {
		return conn.SyscallConn()
	}
	return opaque{}, nil
}

// opaque stands for a connection of a user's own dialer whose socket cannot be looked
// at. go-redis's pool takes such a connection without a look.
type opaque struct{}

func (opaque) Control(func(fd uintptr)) error    { return nil }
func (opaque) Read(func(fd uintptr) bool) error  { return nil }
func (opaque) Write(func(fd uintptr) bool) error { return nil }

// test sends PING. An error reply is an answer too. Anything else, such as a push
// message, would leave a reply behind for the next command: it fails the test.
func (s *socket) test() error {
	_ = s.SetDeadline(time.Now().Add(time.Duration(s.watch.patience.Load())))
	defer func() { _ = s.SetDeadline(time.Time{}) }()
	if _, err := s.Write(request(nil, "PING")); err != nil {
		return err
	}
	replies := bufio.NewReader(s)
	line, err := replies.ReadSlice('\n')
	if err == nil && (line[0] != '+' && line[0] != '-' || replies.Buffered() > 0) {
		err = errNotRedis
	}
	return err
}
