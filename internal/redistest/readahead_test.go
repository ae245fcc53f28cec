package redistest

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A client that sends before it reads must not wait for a server that replies before it
// reads on.
func TestAReplyWaitsForItsReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, peer := net.Pipe()
		go func() { // a server
			defer peer.Close()
			for range 2 {
				if _, err := io.ReadFull(peer, make([]byte, 4)); err != nil {
					return
				}
				_, _ = peer.Write([]byte("pong"))
			}
		}()
		c := newReadAhead(server)
		defer c.Close()
		for range 2 {
			if _, err := c.Write([]byte("ping")); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(c); string(got) != "pongpong" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestAReadEndsAtItsDeadlineAndWhenTheConnectionIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server, peer := net.Pipe()
		defer peer.Close()
		c := newReadAhead(server)
		_ = c.SetDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the read had no deadline")
		}
		_ = c.Close()
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the connection can be read after Close")
		}
	})
}
