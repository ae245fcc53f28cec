package breaker

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// DialHook turns a failed dial into a connection on which every operation fails with
// the error of the dial.
//
// The reason is go-redis's pool. It counts failed dials and never forgets them. Once
// there were as many as it has connections, it returns the last error at once and dials
// in the background, once a second. A server that is back would then stay unreachable
// for up to a second after the breaker's own ping was due. A pool that has no failed
// dial leaves the decision to the Breaker.
func (b *Breaker) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			// go-redis unwraps the error of a handshake once.
			return deadConn{fmt.Errorf("%w", b.dialFailed(err))}, nil // the connection returns the error
		}
		return conn, nil
	}
}

// dialFailed returns the error of a failed dial.
func (b *Breaker) dialFailed(err error) error {
	if b.explain != nil {
		err = b.explain(err)
	}
	return &dialError{err}
}

// dialError marks the error of a dial.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

type deadConn struct{ err error }

func (c deadConn) Read([]byte) (int, error)         { return 0, c.err }
func (c deadConn) Write([]byte) (int, error)        { return 0, c.err }
func (c deadConn) Close() error                     { return nil }
func (c deadConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c deadConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c deadConn) SetDeadline(time.Time) error      { return nil }
func (c deadConn) SetReadDeadline(time.Time) error  { return nil }
func (c deadConn) SetWriteDeadline(time.Time) error { return nil }

// SyscallConn fails the health check of the pool. So the pool never returns a deadConn
// that was idle in it.
func (c deadConn) SyscallConn() (syscall.RawConn, error) { return nil, c.err }
