package redistest

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// link is one connection through a Proxy.
type link struct {
	proxy  *Proxy
	client net.Conn
	closed chan struct{}

	mu      sync.Mutex
	server  net.Conn // nil until dialled
	ended   bool
	pending []*fault // one for each unanswered command, nil for most
}

// serve forwards until both sides have finished, or close.
func (l *link) serve() {
	defer l.close()
	server, err := net.DialTimeout("tcp", l.proxy.target, patience)
	if err != nil || !l.attach(server) {
		return
	}
	requests := make(chan struct{})
	go func() {
		defer close(requests)
		l.pumpRequests()
		if l.passable() {
			// The server still executes what it was sent, then closes.
			_ = server.(*net.TCPConn).CloseWrite()
		}
	}()
	l.pumpReplies()
	l.close()
	<-requests
}

func (l *link) attach(server net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		server.Close()
		return false
	}
	l.server = server
	return true
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	close(l.closed)
	l.client.Close()
	if l.server != nil {
		l.server.Close()
	}
}

func (l *link) pumpRequests() {
	in := framer{r: bufio.NewReader(l.client)}
	for {
		command, err := in.next()
		if err != nil || !l.passable() {
			return
		}
		if !in.opaque {
			l.expect(l.proxy.forward(command))
		}
		if _, err := l.server.Write(command); err != nil {
			return
		}
	}
}

func (l *link) pumpReplies() {
	out := framer{r: bufio.NewReader(l.server)}
	lost := false // the client hears nothing more
	for {
		reply, err := out.next()
		if err != nil {
			return
		}
		var f *fault
		if !out.opaque && !isPush(reply) {
			f = l.answered()
		}
		delay := l.proxy.latency()
		if f != nil {
			if f.drop {
				lost = true
				_ = l.client.(*net.TCPConn).CloseWrite()
			}
			delay += f.delay
			close(f.done)
		}
		if lost {
			continue
		}
		if !l.sleep(delay) || !l.passable() {
			return
		}
		if _, err := l.client.Write(reply); err != nil {
			lost = true
		}
	}
}

func (l *link) expect(f *fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending = append(l.pending, f)
}

// answered is the fate of the reply that has just come.
func (l *link) answered() *fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return nil // a message to a subscriber
	}
	f := l.pending[0]
	l.pending = l.pending[1:]
	return f
}

// passable waits out a black hole; it is false once the link is closed.
func (l *link) passable() bool {
	l.proxy.mu.Lock()
	flowing := l.proxy.flowing
	l.proxy.mu.Unlock()
	select {
	case <-flowing:
		return true
	case <-l.closed:
		return false
	}
}

// sleep is false once the link is closed.
func (l *link) sleep(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.closed:
		return false
	}
}
