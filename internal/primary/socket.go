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

	unanswered atomic.Bool   // a request was written, and nothing was read since
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
	if n > 0 && s.unanswered.Load() {
		s.unanswered.Store(false)
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
	if doubts := s.watch.doubts.Load(); s.trusted.Load() != doubts {
		if err := s.test(); err != nil {
			s.watch.patience.Store(int64(shortPatience))
			return nil, err
		}
		s.trusted.Store(doubts)
	}
	conn, ok := s.Conn.(syscall.Conn)
	if !ok {
		return nil, net.ErrClosed
	}
	return conn.SyscallConn()
}

// test sends PING. An error reply is an answer too.
func (s *socket) test() error {
	_ = s.SetDeadline(time.Now().Add(time.Duration(s.watch.patience.Load())))
	defer func() { _ = s.SetDeadline(time.Time{}) }()
	if _, err := s.Write(request(nil, "PING")); err != nil {
		return err
	}
	_, err := bufio.NewReader(s).ReadSlice('\n')
	return err
}
