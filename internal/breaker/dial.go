package breaker

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// DialHook turns a failed dial into a connection whose every use fails with the
// dial's error. go-redis's pool counts failed dials for as long as it lives and,
// once there were as many as it has connections, answers with the last error and
// dials in the background once a second: a server that came back would stay
// unreachable for up to that second after the breaker's own ping was due. A pool
// that sees no failed dial leaves the matter to the Breaker.
func (b *Breaker) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			// go-redis takes one layer off the error of a handshake.
			return deadConn{fmt.Errorf("%w", &dialError{err})}, nil //nolint:nilerr // the connection tells it
		}
		return conn, nil
	}
}

// dialError marks an error as a dial's.
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

// SyscallConn fails the pool's health check, so that a dead connection which waited
// in the pool is never handed out.
func (c deadConn) SyscallConn() (syscall.RawConn, error) { return nil, c.err }
