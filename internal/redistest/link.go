package redistest

import (
	"bufio"
	"net"
	"sync"
	"time"
)

// A link is one connection through a Proxy.
type link struct {
	proxy  *Proxy
	client net.Conn
	closed chan struct{}

	mu      sync.Mutex
	server  net.Conn // nil until dialled
	ended   bool
	pending []*fault // one for each command without a reply yet, nil for most
}

// serve forwards until both sides have finished or the link is closed.
func (l *link) serve() {
	defer l.close()
	server, err := net.DialTimeout("tcp", l.proxy.behind(), patience)
	if err != nil || !l.attach(server) {
		return
	}
	requests := make(chan struct{})
	go func() {
		defer close(requests)
		l.forwardRequests()
		if l.waitUntilFlowing() {
			// The server executes what it has received, then closes.
			_ = server.(*net.TCPConn).CloseWrite()
		}
	}()
	l.forwardReplies()
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

func (l *link) forwardRequests() {
	in := framer{r: bufio.NewReader(l.client)}
	for {
		command, err := in.next()
		if err != nil || !l.waitUntilFlowing() {
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

func (l *link) forwardReplies() {
	out := framer{r: bufio.NewReader(l.server)}
	lost := false // the client receives nothing more
	for {
		reply, err := out.next()
		if err != nil {
			return
		}
		var f *fault
		if !out.opaque && !isPush(reply) {
			f = l.nextFault()
		}
		delay := l.proxy.latency(len(reply))
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
		if !l.sleep(delay) || !l.waitUntilFlowing() {
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

// nextFault returns the fault for the reply that has just arrived, nil for most.
func (l *link) nextFault() *fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) == 0 {
		return nil // a message to a subscriber is no reply
	}
	f := l.pending[0]
	l.pending = l.pending[1:]
	return f
}

// waitUntilFlowing waits until a BlackHole ends. It returns false if the link is closed.
func (l *link) waitUntilFlowing() bool {
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

// sleep waits for d. It returns false if the link is closed.
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
