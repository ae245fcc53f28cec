package redistest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Process is a redis-server of the test's own. Its methods may be called from
// any goroutine; they fail the test when the server does not do what they say.
type Process struct {
	t    testing.TB
	port int
	dir  string
	argv []string
	log  *serverLog

	mu  sync.Mutex
	cur *child // the running or last process; nil before Launch
}

// Start starts a redis-server that ends with the test, and waits until it
// answers. It listens on a free port of 127.0.0.1 and on a Unix socket, saves
// nothing and keeps its files in a directory of its own. args are further
// command-line settings, such as "--requirepass", "secret"; the later one of
// two wins. In them {port} stands for the server's port and {dir} for its
// directory. Leave --logfile and --loglevel alone: the log says when the
// server is ready. A failed test shows it.
func Start(t testing.TB, args ...string) *Process {
	t.Helper()
	requireProgram(t, "redis-server")
	p, err := launch(args...)
	if err != nil {
		t.Fatal(err)
	}
	p.endWith(t)
	return p
}

// StartLater is Start for a server that does not run before Launch: until
// then its address refuses connections.
func StartLater(t testing.TB, args ...string) *Process {
	t.Helper()
	requireProgram(t, "redis-server")
	return later(t, settings(args))
}

// StartLaterAs is StartLater with argv alone, as for a server whose settings are
// in a file: the test writes it into Dir, and has the server listen on Port, before
// it calls Launch.
func StartLaterAs(t testing.TB, argv ...string) *Process {
	t.Helper()
	requireProgram(t, "redis-server")
	return later(t, argv)
}

func later(t testing.TB, argv []string) *Process {
	t.Helper()
	p, err := prepare(freePort, argv)
	if err != nil {
		t.Fatal(err)
	}
	p.endWith(t)
	return p
}

// Launch starts a server of StartLater and waits until it answers.
func (p *Process) Launch() { p.Restart() }

// Addr is the server's host:port.
func (p *Process) Addr() string { return loopback(p.port) }

// Port is the port in Addr.
func (p *Process) Port() int { return p.port }

// Socket is the path of the server's Unix socket.
func (p *Process) Socket() string { return filepath.Join(p.dir, "redis.sock") }

// Dir is the server's directory. It survives Restart.
func (p *Process) Dir() string { return p.dir }

// PID is that of the running process, or of the last one.
func (p *Process) PID() int { return p.launched().cmd.Process.Pid }

// Log is what the server has printed so far, over all its lives.
func (p *Process) Log() string { return p.log.String() }

// Client returns a client of this server, closed with the test. Its defaults
// are those of Server.Client; a password or TLS is for opts to set.
func (p *Process) Client(opts ...func(*redis.Options)) *redis.Client {
	return newClient(p.t, at(p.Addr()), opts)
}

// Kill ends the server as a crash does, with SIGKILL, and waits for its end.
func (p *Process) Kill() { p.launched().kill() }

// Stop ends the server with SIGTERM, so that it saves if it has save points,
// and waits for its end.
func (p *Process) Stop() {
	p.t.Helper()
	c := p.launched()
	c.signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(patience):
		p.t.Fatalf("redis-server still runs %v after SIGTERM", patience)
	}
}

// Restart kills the server if it runs, starts it again on the same port and
// directory, and waits until it answers.
func (p *Process) Restart() {
	p.t.Helper()
	p.RestartNow()
	if err := p.awaitReady(); err != nil {
		p.t.Fatal(err)
	}
}

// RestartNow is Restart without the wait: the server refuses connections at
// first, then answers LOADING while it reads its files.
func (p *Process) RestartNow() {
	p.t.Helper()
	if c := p.current(); c != nil {
		c.kill()
	}
	if err := p.start(); err != nil {
		p.t.Fatal(err)
	}
}

// Pause stops the server's execution with SIGSTOP: connections stay open, the
// kernel accepts new ones, and nothing is answered.
func (p *Process) Pause() { p.launched().signal(pauseSignal) }

// Resume ends a Pause.
func (p *Process) Resume() { p.launched().signal(resumeSignal) }

// launch starts a server and waits until it answers. The caller ends it.
func launch(args ...string) (*Process, error) { return launchOn(freePort, settings(args)) }

// settings are a server's arguments, those of the test last.
func settings(args []string) []string {
	return append([]string{
		"--port", "{port}", "--bind", "127.0.0.1", "--dir", "{dir}",
		"--unixsocket", "{dir}/redis.sock",
		"--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0",
	}, args...)
}

// launchOn tries ports of pick until the server can bind one.
func launchOn(pick func() (int, error), argv []string) (*Process, error) {
	for attempt := 1; ; attempt++ {
		p, err := prepare(pick, argv)
		if err != nil {
			return nil, err
		}
		if err = p.start(); err == nil {
			err = p.awaitReady()
		}
		if err == nil {
			return p, nil
		}
		p.end()
		if attempt == 5 || !strings.Contains(p.Log(), "Address already in use") {
			return nil, err
		}
	}
}

// prepare gives a server its port and directory, without starting it.
func prepare(pick func() (int, error), argv []string) (*Process, error) {
	port, err := pick()
	if err != nil {
		return nil, err
	}
	root, err := filesDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(root, strconv.Itoa(port))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	p := &Process{port: port, dir: dir, log: &serverLog{}}
	fill := strings.NewReplacer("{port}", strconv.Itoa(port), "{dir}", dir)
	for _, arg := range argv {
		p.argv = append(p.argv, fill.Replace(arg))
	}
	return p, nil
}

func (p *Process) current() *child {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cur
}

// launched fails the test of a StartLater that forgot Launch.
func (p *Process) launched() *child {
	p.t.Helper()
	c := p.current()
	if c == nil {
		p.t.Fatal("redis-server was not launched yet")
	}
	return c
}

func (p *Process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := exec.Command("redis-server", p.argv...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, p.log, p.log
	p.log.restart()
	c, err := spawn(cmd)
	if err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	p.cur = c
	return nil
}

// awaitReady goes by the log rather than by PING: it needs no password, and
// no foreign server on a lost port can answer it.
func (p *Process) awaitReady() error {
	select {
	case <-p.log.readiness():
		return nil
	case <-p.current().done:
		return errors.New("redis-server ended at once; its log:\n" + p.Log())
	case <-time.After(patience):
		return fmt.Errorf("redis-server is not ready after %v; its log:\n%s", patience, p.Log())
	}
}

// endWith hands the server to t.
func (p *Process) endWith(t testing.TB) {
	p.t = t
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Logf("log of the redis-server on port %d:\n%s", p.port, p.Log())
		}
	})
}

func (p *Process) end() {
	if c := p.current(); c != nil {
		c.kill()
	}
	_ = os.RemoveAll(p.dir)
}

// serverLog keeps what a server prints, and sees when it is ready.
type serverLog struct {
	mu    sync.Mutex
	text  bytes.Buffer
	life  int           // where the log of the current life begins
	ready chan struct{} // closed once the current life is ready
}

// readyMarks are printed by a server and by a Sentinel.
var readyMarks = [][]byte{[]byte("Ready to accept connections"), []byte("+monitor master")}

func (l *serverLog) restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.life, l.ready = l.text.Len(), make(chan struct{})
}

func (l *serverLog) readiness() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ready
}

func (l *serverLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.isReady()
	l.text.Write(b)
	if !was && l.isReady() {
		close(l.ready)
	}
	return len(b), nil
}

func (l *serverLog) isReady() bool {
	life := l.text.Bytes()[l.life:]
	for _, mark := range readyMarks {
		if bytes.Contains(life, mark) {
			return true
		}
	}
	return false
}

func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
