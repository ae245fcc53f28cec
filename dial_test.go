package rediskit_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestConnectOverTLSWithAClientCertificate(t *testing.T) {
	t.Parallel()
	certs := redistest.TLS(t)
	server := redistest.Start(t, append(certs.Args(), "--tls-auth-clients", "yes")...)
	cfg := at(server.Addr())
	cfg.TLS = certs.Config()
	rdb := connect(t, cfg)
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestConnectFailsAtOnceWhereTLSDoesNotAgree(t *testing.T) {
	t.Parallel()
	certs := redistest.TLS(t)
	secured := redistest.Start(t, append(certs.Args(), "--tls-auth-clients", "yes")...)
	stranger, misnamed := &tls.Config{}, certs.Config()
	misnamed.ServerName = "redis.example"
	for name, test := range map[string]struct {
		tls  *tls.Config
		want string
	}{
		"unknown authority": {stranger, "RootCAs"},
		"wrong name":        {misnamed, "ServerName"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log errorLog
			cfg := at(secured.Addr())
			cfg.TLS, cfg.OnError, cfg.DialTimeout = test.tls, log.onError, 5*time.Second
			_, err := rediskit.Connect(within(t), cfg)
			if err == nil || !strings.Contains(err.Error(), test.want) || len(log.all()) != 0 {
				t.Errorf("got %v after %v", err, log.all())
			}
		})
	}
}

// The server rejects the client only after the handshake, with an alert. If the reset
// of the connection arrives before the alert, the next attempt receives the alert.
func TestConnectNamesAMissingClientCertificate(t *testing.T) {
	t.Parallel()
	certs := redistest.TLS(t)
	server := redistest.Start(t, append(certs.Args(), "--tls-auth-clients", "yes")...)
	cfg := at(server.Addr())
	cfg.TLS = certs.Config()
	cfg.TLS.Certificates = nil
	if _, err := rediskit.Connect(within(t), cfg); err == nil || !strings.Contains(err.Error(), "check Certificates") {
		t.Errorf("got %v", err)
	}
}

func TestConnectSaysThatAServerDoesNotSpeakTLS(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	cfg := at(server.Addr())
	cfg.TLS = redistest.TLS(t).Config()
	cfg.OnError = func(context.Context, error) { cancel() } // one attempt is enough
	if _, err := rediskit.Connect(ctx, cfg); err == nil || !strings.Contains(err.Error(), "does the server speak TLS on this port?") {
		t.Errorf("got %v", err)
	}
}

func TestConnectAdvisesTLSAfterTheServerClosesAPlainConnection(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.TLS(t).Args()...)
	ctx, cancel := context.WithCancel(within(t))
	defer cancel()
	cfg := at(server.Addr())
	cfg.OnError = func(context.Context, error) { cancel() } // one attempt is enough
	_, err := rediskit.Connect(ctx, cfg)
	if err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("got %v", err)
	}
}

// A restart closes every pooled connection. If the pool did not look at the socket, a
// call would fail on each of them: TLS hides the end of a connection until a read.
func TestPooledTLSConnectionsThatTheServerClosedFailNoCall(t *testing.T) {
	t.Parallel()
	certs := redistest.TLS(t)
	server := redistest.Start(t, certs.Args()...)
	cfg := at(server.Addr())
	cfg.TLS = certs.Config()
	rdb := connect(t, cfg)
	fillPool(t, rdb, 8)
	server.Restart()
	for range 8 {
		cmd := once{redis.NewCmd(t.Context(), "incr", "k")}
		if err := rdb.Process(t.Context(), cmd); err != nil {
			t.Fatalf("a command that is never sent twice used a connection that had ended: %v", err)
		}
	}
}

// fillPool leaves n idle connections in the pool.
func fillPool(t *testing.T, rdb redis.UniversalClient, n int) {
	t.Helper()
	var held []*redis.Conn
	for range n {
		conn := rdb.(*redis.Client).Conn()
		if err := conn.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	if idle := rdb.PoolStats().IdleConns; int(idle) < n {
		t.Fatalf("%d idle connections, want %d", idle, n)
	}
}

// once is a command that must not be sent twice.
type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }

// short bounds an attempt that must fail when the context ends.
func short(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// The dial succeeds, but the server does not say who it is.
func TestAGreetingWithoutAnswerEndsWithConnect(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := at(l.Addr().String())
	cfg.DialTimeout = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := rediskit.Connect(ctx, cfg); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stayed open")
	}
}
