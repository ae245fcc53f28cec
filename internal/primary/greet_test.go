package primary

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
)

// script is a connection whose replies are given.
type script struct {
	net.Conn
	replies io.Reader
	sent    bytes.Buffer
}

func (s *script) Read(p []byte) (int, error)  { return s.replies.Read(p) }
func (s *script) Write(p []byte) (int, error) { return s.sent.Write(p) }

func TestAGreetingLearnsWhoTheServerIs(t *testing.T) {
	t.Parallel()
	const hello = "*4\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
	for _, test := range []struct {
		name, replies string
		want          Peer
		err           error
	}{
		{"all", hello + "$30\r\n# Server\r\nrun_id:abc\r\nport:1\r\n\r\n", Peer{role: "master", run: "abc"}, nil},
		{"INFO is denied", hello + "-NOPERM no\r\n", Peer{role: "master", mute: true}, nil},
		{"loading", hello + "-LOADING wait\r\n", Peer{role: "master"}, nil},
		{"HELLO is unknown", "-ERR unknown command\r\n$-1\r\n", Peer{}, nil},
		{"refused, and hung up", "-ERR max number of clients reached\r\n", Peer{}, replyError("ERR max number of clients reached")},
		{"hung up", "", Peer{}, io.EOF},
		{"hung up in the midst", hello + "$100\r\nab", Peer{}, io.ErrUnexpectedEOF},
		{"another protocol", "HTTP/1.1 400 Bad Request\r\n\r\n", Peer{}, errNotRedis},
		{"more than was asked for", hello + "+PONG\r\n+PONG\r\n", Peer{}, errNotRedis},
	} {
		conn := &script{replies: strings.NewReader(test.replies)}
		got, err := greet(conn, "", "", "server")
		if got.role != test.want.role || got.run != test.want.run || got.mute != test.want.mute || !errors.Is(err, test.err) && err != test.err {
			t.Errorf("%s: %+v, %v", test.name, got, err)
		}
	}
}

func TestAGreetingAuthenticates(t *testing.T) {
	t.Parallel()
	for username, want := range map[string]string{"": "default", "app": "app"} {
		conn := &script{replies: strings.NewReader("+OK\r\n+PONG\r\n")}
		if _, err := greet(conn, username, "secret"); err != nil {
			t.Fatal(err)
		}
		if want := string(request(request(nil, "HELLO", "2", "AUTH", want, "secret"), "PING")); conn.sent.String() != want {
			t.Errorf("sent %q", conn.sent.String())
		}
	}
}

func FuzzGreet(f *testing.F) {
	for _, seed := range []string{"+OK\r\n$2\r\nab\r\n", "*2\r\n:1\r\n*-1\r\n-ERR\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "$9999999999\r\n", "*-5\r\n$-2\r\n", "\r\n\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, replies []byte) {
		_, _ = greet(&script{replies: bytes.NewReader(replies)}, "", "", "server")
	})
}

// hangUp is a server that closes each connection at once. It counts them.
func hangUp(t *testing.T) (addr string, count func() int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	accepted := make(chan int, 1)
	accepted <- 0
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- <-accepted + 1
			conn.Close()
		}
	}()
	return l.Addr().String(), func() int {
		n := <-accepted
		accepted <- n
		return n
	}
}

func TestAServerThatHangsUpIsDialledNoMoreThan20TimesASecond(t *testing.T) {
	t.Parallel()
	addr, count := hangUp(t)
	w := New(config(t))
	start := time.Now()
	for i := 0; time.Since(start) < 2*time.Second; i++ {
		if conn, err := w.Dial(t.Context(), "tcp", addr); err == nil {
			conn.Close()
			t.Fatal("dialled a server that hangs up")
		}
		time.Sleep(time.Millisecond)
	}
	if n := count(); n < 2 || n > 3*dialsPerSecond {
		t.Errorf("%d dials in two seconds", n)
	}
}

func TestTheServerIsDialledAgainWhenItIsWell(t *testing.T) {
	t.Parallel()
	later := redistest.StartLater(t)
	w := New(config(t))
	for range 100 {
		if _, err := w.Dial(t.Context(), "tcp", later.Addr()); err == nil {
			t.Fatal("dialled a server that does not run")
		}
	}
	later.Launch()
	redistest.Eventually(t, func() bool {
		conn, err := w.Dial(t.Context(), "tcp", later.Addr())
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, "it is dialled")
	for range 100 { // nothing bounds the dials to a server that is well
		conn, err := w.Dial(t.Context(), "tcp", later.Addr())
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
}
