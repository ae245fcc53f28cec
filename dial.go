package rediskit

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer returns a dialer that gives up when ctx or life ends, also during the TLS
// handshake. The dialer of go-redis ignores ctx during that handshake.
func dialer(life context.Context, timeout time.Duration, config *tls.Config) dialFunc {
	plain := &net.Dialer{
		// Less than the idle limits of common load balancers and NATs.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		conn, err := plain.DialContext(ctx, network, addr)
		if err != nil || config == nil {
			return conn, err
		}
		return secure(ctx, conn, config, addr)
	}
}

// until returns a dialer that gives up when life ends, also during the greeting.
func until(life context.Context, dial dialFunc) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		return dial(ctx, network, addr)
	}
}

func secure(ctx context.Context, conn net.Conn, config *tls.Config, addr string) (net.Conn, error) {
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			err = &net.OpError{Op: opHandshake, Net: "tcp", Addr: conn.RemoteAddr(), Err: os.ErrDeadlineExceeded}
		}
		return nil, err
	}
	return tlsConn{secured}, nil
}

// opHandshake is the Op of a net.OpError: a server accepted the connection but did not
// answer in TLS. A plain redis-server does so, because it waits for the end of a line.
const opHandshake = "TLS handshake"

// tlsConn gives go-redis's pool access to the socket below a TLS connection. The pool
// then discards an idle connection that the server has closed, as it does without TLS.
// With RESP2 a server sends nothing else to an idle connection.
type tlsConn struct{ *tls.Conn }

func (c tlsConn) SyscallConn() (syscall.RawConn, error) {
	conn, ok := c.NetConn().(syscall.Conn)
	if !ok {
		return nil, net.ErrClosed
	}
	return conn.SyscallConn()
}
