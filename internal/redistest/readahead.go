package redistest

import (
	"errors"
	"net"
	"time"
)

// readAhead is a connection through an in-memory pipe in which what the server sends waits
// for its reader, as in the buffer of a socket. A pipe has no buffer: a server that sends a
// reply would read nothing until the client takes it, and a client that sends at that
// moment would wait for ever.
type readAhead struct {
	net.Conn          // to the server
	in       net.Conn // what the server has sent
}

// maxReplies is how many replies wait.
const maxReplies = 1024

// newReadAhead takes what server sends until either end is closed.
func newReadAhead(server net.Conn) net.Conn {
	in, out := net.Pipe()
	replies := make(chan []byte, maxReplies)
	go func() {
		defer close(replies)
		for {
			reply := make([]byte, 4096)
			n, err := server.Read(reply)
			if n > 0 {
				replies <- reply[:n]
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		defer out.Close()
		for reply := range replies {
			_, _ = out.Write(reply) // it fails once the client has closed
		}
	}()
	return readAhead{server, in}
}

func (c readAhead) Read(b []byte) (int, error) { return c.in.Read(b) }

func (c readAhead) Close() error { return errors.Join(c.Conn.Close(), c.in.Close()) }

func (c readAhead) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c readAhead) SetReadDeadline(t time.Time) error { return c.in.SetReadDeadline(t) }
