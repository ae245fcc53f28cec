package primary

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/convkit/rediskit/internal/redistest"
)

// pair returns a socket of w, and the server's end of its connection.
func pair(t *testing.T, w *Watch) (*socket, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); server.Close() })
	return &socket{Conn: conn, watch: w}, server
}

// HELLO names the arguments of each module.
func TestAServerWithModulesIsGreeted(t *testing.T) {
	t.Parallel()
	const modules = "*4\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n" +
		"*1\r\n*4\r\n$4\r\nname\r\n$6\r\nsearch\r\n$4\r\nargs\r\n*2\r\n$10\r\nMAXRESULTS\r\n$2\r\n10\r\n"
	got, err := greet(&script{replies: strings.NewReader(modules + "$10\r\nrun_id:abc\r\n")}, "", "", "server")
	if got.role != "master" || got.run != "abc" || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// While a password is rotated, INFO is refused with NOAUTH. It is not missing a
// permission.
func TestAWrongPasswordMutesNobody(t *testing.T) {
	t.Parallel()
	replies := strings.NewReader("-WRONGPASS invalid username-password pair\r\n-NOAUTH Authentication required.\r\n")
	if who, err := greet(&script{replies: replies}, "app", "old", "server"); who.mute || err != nil {
		t.Errorf("%+v, %v", who, err)
	}
}

// A dialer of the user's own may return what has no socket to look at.
func TestAPoolKeepsConnectionsWithoutASyscallConn(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cfg := config(t)
	dials, dial := countDials(&cfg), cfg.Dial
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return struct{ net.Conn }{conn}, err
	}
	rdb := client(t, New(cfg), server.Addr())
	for range 5 {
		if err := rdb.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("five calls made %d dials", n)
	}
}

// A push message before the PONG would leave the PONG to the next command.
func TestADoubtfulConnectionThatPushesIsNotUsed(t *testing.T) {
	t.Parallel()
	w := New(config(t))
	s, server := pair(t, w)
	w.doubts.Add(1)
	if _, err := server.Write([]byte(">2\r\n+invalidate\r\n*0\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SyscallConn(); err == nil {
		t.Error("it was taken for healthy")
	}
}

// go-redis also looks at a connection between a request and its reply, with RESP3.
func TestARequestUnderWayIsNotDisturbed(t *testing.T) {
	t.Parallel()
	w := New(config(t))
	s, server := pair(t, w)
	if _, err := s.Write([]byte("GET")); err != nil {
		t.Fatal(err)
	}
	w.doubts.Add(1)
	if _, err := server.Write([]byte("+v\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, 4)
	if _, err := io.ReadFull(s, reply); err != nil || string(reply) != "+v\r\n" {
		t.Errorf("the reply is %q, %v", reply, err)
	}
}

// The first replies of a pipeline came, the rest of it may still be unsent.
func TestAPipelineWithoutAllRepliesIsWithdrawn(t *testing.T) {
	t.Parallel()
	s, server := pair(t, New(config(t)))
	if _, err := s.Write([]byte("SET SET")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Write([]byte("+")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if !isClosed(s) { // its read times out
		s.Close()
	}
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server sees %v", err)
	}
}
