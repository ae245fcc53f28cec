package web

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serving serves h until the test ends, and returns the server's address.
func serving(t *testing.T, h http.HandlerFunc) (addr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	listener, err := Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, listener, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func TestASlowOrLargeRequestIsCutOff(t *testing.T) {
	t.Parallel()
	addr := serving(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, "not read", http.StatusRequestTimeout)
		}
	})
	const head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	for _, c := range []struct{ name, request, want string }{
		{"a head that does not end", head, ""},
		{"a head that is too large", head + "X: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "HTTP/1.1 431 "},
		{"a body that does not come", head + "Content-Length: 9\r\n\r\n{", "HTTP/1.1 408 "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, c.request) // the server may cut the connection while this writes
			_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
			got, err := io.ReadAll(conn)
			var late net.Error
			if errors.As(err, &late) && late.Timeout() || !bytes.HasPrefix(got, []byte(c.want)) {
				t.Errorf("the answer is %.40q, %v; want %q and the end", got, err, c.want)
			}
		})
	}
}
