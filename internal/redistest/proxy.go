package redistest

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Proxy forwards TCP connections to a Redis server and breaks them on demand. It reads
// whole commands and replies, and pairs them in their order. That is exact on connections
// that do not subscribe. It cannot read TLS, where only whole connections can be broken.
// All methods take effect at once and may be called from any goroutine.
type Proxy struct {
	t    testing.TB
	addr string
	run  sync.WaitGroup

	mu       sync.Mutex
	target   string
	listener net.Listener // nil while down
	links    map[*link]bool
	flowing  chan struct{} // closed while bytes flow
	delay    time.Duration
	rate     int // bytes of replies in a second, 0 for no limit
	faults   []*fault
	accepted int
	requests map[string]int
}

// A fault is what happens to the reply of the next command that contains match.
type fault struct {
	match []byte
	drop  bool
	delay time.Duration
	done  chan struct{}
}

// StartProxy starts a proxy to the address target. It ends with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		t: t, addr: loopback(port), target: target,
		links: map[*link]bool{}, flowing: make(chan struct{}), requests: map[string]int{},
	}
	close(p.flowing)
	p.Up()
	t.Cleanup(func() {
		p.Down()
		p.run.Wait()
	})
	return p
}

// Addr returns the proxy's host:port.
func (p *Proxy) Addr() string { return p.addr }

// Down refuses new connections and closes those that are open.
func (p *Proxy) Down() {
	p.mu.Lock()
	if p.listener != nil {
		p.listener.Close()
		p.listener = nil
	}
	p.mu.Unlock()
	p.Cut()
}

// Up ends Down.
func (p *Proxy) Up() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return
	}
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatalf("listen for the proxy: %v", err)
	}
	p.listener = l
	p.run.Go(func() { p.accept(l) })
}

// Cut closes all open connections, on both sides. New ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
	clear(p.links)
}

// MoveTo makes target the server behind the address, as a Service or a balancer does after a
// failover. New connections go there. Those that are open stay with the old server: Cut
// closes them.
func (p *Proxy) MoveTo(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// BlackHole keeps connections open and accepts new ones, but forwards nothing in either
// direction: no byte, and not that one side has closed.
func (p *Proxy) BlackHole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isFlowing() {
		p.flowing = make(chan struct{})
	}
}

// Heal ends BlackHole. What was held back is delivered, as after a partition that was
// shorter than the time-outs of TCP. It also ends Delay and Throttle.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.rate = 0, 0
	if !p.isFlowing() {
		close(p.flowing)
	}
}

// Delay holds back each reply for d from now on. Zero ends that. A pipeline of n commands
// takes n times d.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Throttle lets each connection carry so many bytes of replies in a second from now on. Zero
// ends that.
func (p *Proxy) Throttle(bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rate = bytesPerSecond
}

// DropReply forwards the next command that contains match, drops its reply, and ends the
// stream to the client: the server has executed the command and the client cannot know. In
// a pipeline the replies before it arrive. Those after it are lost too, though their
// commands were executed.
//
// match is part of a name, key or argument, in upper or lower case. If it is empty, the
// next command is meant, even one of a handshake. The result is closed once the reply was
// dropped. Faults apply in the order in which they were added, each to one command.
func (p *Proxy) DropReply(match string) <-chan struct{} {
	return p.add(&fault{match: []byte(match), drop: true})
}

// DelayReply holds back the reply to the next command that contains match, for d. The
// result is closed once the server has replied, before the delay.
func (p *Proxy) DelayReply(match string, d time.Duration) <-chan struct{} {
	return p.add(&fault{match: []byte(match), delay: d})
}

// Connections returns how many connections were accepted so far.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Open returns how many connections are open.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Requests returns how many commands were forwarded so far, handshakes included, or only
// those of the given names, such as "PUBLISH".
func (p *Proxy) Requests(names ...string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := 0
	if len(names) == 0 {
		for _, n := range p.requests {
			sum += n
		}
	}
	for _, name := range names {
		sum += p.requests[strings.ToUpper(name)]
	}
	return sum
}

func (p *Proxy) add(f *fault) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.match, f.done = bytes.ToLower(f.match), make(chan struct{})
	p.faults = append(p.faults, f)
	return f.done
}

// isFlowing needs p.mu.
func (p *Proxy) isFlowing() bool {
	select {
	case <-p.flowing:
		return true
	default:
		return false
	}
}

func (p *Proxy) accept(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		l := &link{proxy: p, client: conn, closed: make(chan struct{})}
		if !p.admit(ln, l) {
			conn.Close()
		}
	}
}

// behind returns the address of the server for a new connection.
func (p *Proxy) behind() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

// latency returns how long Delay and Throttle hold back a reply of n bytes.
func (p *Proxy) latency(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rate == 0 {
		return p.delay
	}
	return p.delay + time.Duration(n)*time.Second/time.Duration(p.rate)
}

// admit starts a link. It returns false if the connection was accepted just before Down.
func (p *Proxy) admit(ln net.Listener, l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != ln {
		return false
	}
	p.accepted++
	p.links[l] = true
	p.run.Go(func() {
		l.serve()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	})
	return true
}

// forward counts a command and returns the fault for its reply, or nil.
func (p *Proxy) forward(command []byte) *fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[commandName(command)]++
	for i, f := range p.faults {
		if bytes.Contains(bytes.ToLower(command), f.match) {
			p.faults = append(p.faults[:i:i], p.faults[i+1:]...)
			return f
		}
	}
	return nil
}
