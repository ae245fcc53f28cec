package rediskit

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"
	"time"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer returns a dialer that gives up when ctx ends, TLS handshake included
// (go-redis's own ignores ctx there), or when life does.
func dialer(life context.Context, timeout time.Duration, config *tls.Config) dialFunc {
	plain := &net.Dialer{
		Timeout: timeout,
		// Less than the idle limits of common load balancers and NATs.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	dial := plain.DialContext
	if config != nil {
		dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&tls.Dialer{NetDialer: plain, Config: config}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return tlsConn{conn.(*tls.Conn)}, nil
		}
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		return dial(ctx, network, addr)
	}
}

// tlsConn lets go-redis's pool look at the socket below an idle TLS connection, as
// it does without TLS, and discard one that the server has closed. On RESP2 a
// server has nothing to send to an idle connection but the end of it.
type tlsConn struct{ *tls.Conn }

func (c tlsConn) SyscallConn() (syscall.RawConn, error) {
	conn, ok := c.NetConn().(syscall.Conn)
	if !ok {
		return nil, net.ErrClosed
	}
	return conn.SyscallConn()
}
