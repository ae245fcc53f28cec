package redistest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Process is a redis-server of the test's own. Its methods may be called from any
// goroutine. They fail the test when the server does not do what they say.
type Process struct {
	t     testing.TB
	place Place
	port  int
	dir   string
	argv  []string
	env   []string // added to the test's
	log   *serverLog

	mu  sync.Mutex
	cur *child // the running or last process; nil before Launch

	clock string        // the file that sets the server's clock, "" for none
	ahead time.Duration // what it says
}

// Start starts a redis-server that ends with the test, and waits until it is ready. It
// listens on a free port of 127.0.0.1 and on a Unix socket, saves nothing and keeps its
// files in a directory of its own.
//
// args are further command-line settings, such as "--requirepass", "secret". If a setting
// is given twice, the later one counts. In args {port} stands for the server's port and
// {dir} for its directory. Do not set --logfile and --loglevel: the log says when the
// server is ready. A failed test shows the log.
func Start(t testing.TB, args ...string) *Process {
	t.Helper()
	return StartAt(t, onLoopback(), args...)
}

// StartLater is Start for a server that does not run before Launch. Until then its address
// refuses connections.
func StartLater(t testing.TB, args ...string) *Process {
	t.Helper()
	requireProgram(t, "redis-server")
	return later(t, settings(args))
}

// StartLaterAs is StartLater without the settings of Start: argv are all arguments. It is
// for a server whose settings are in a file. Before it calls Launch, the test writes the
// file into Dir, with Port as the port on which the server listens.
func StartLaterAs(t testing.TB, argv ...string) *Process {
	t.Helper()
	requireProgram(t, "redis-server")
	return later(t, argv)
}

func later(t testing.TB, argv []string) *Process {
	t.Helper()
	p, err := prepare(onLoopback(), freePort, argv)
	if err != nil {
		t.Fatal(err)
	}
	p.endWith(t)
	return p
}

// Launch starts a server of StartLater and waits until it is ready.
func (p *Process) Launch() { p.Restart() }

// Addr returns the server's host:port.
func (p *Process) Addr() string { return net.JoinHostPort(p.Host(), strconv.Itoa(p.port)) }

// Host returns the address in Addr.
func (p *Process) Host() string { return p.place.host() }

// Port returns the port in Addr.
func (p *Process) Port() int { return p.port }

// Socket returns the path of the server's Unix socket.
func (p *Process) Socket() string { return filepath.Join(p.dir, "redis.sock") }

// Dir returns the server's directory. Restart keeps it.
func (p *Process) Dir() string { return p.dir }

// PID returns the id of the running process, or of the last one.
func (p *Process) PID() int { return p.launched().cmd.Process.Pid }

// Log returns what the server has printed so far, over all its restarts.
func (p *Process) Log() string { return p.log.String() }

// Client returns a client of this server that is closed with the test. Its defaults are
// those of Server.Client. Set a password or TLS with opts.
func (p *Process) Client(opts ...func(*redis.Options)) *redis.Client {
	return newClient(p.t, at(p.Addr()), opts)
}

// SocketClient is Client over the server's Unix socket, which no cut of a network reaches.
func (p *Process) SocketClient() *redis.Client {
	return p.Client(func(o *redis.Options) { o.Network, o.Addr = "unix", p.Socket() })
}

// Kill ends the server with SIGKILL, as a crash does, and waits for its end.
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

// Restart kills the server if it runs, starts it again with the same port and directory,
// and waits until it is ready.
func (p *Process) Restart() {
	p.t.Helper()
	p.RestartNow()
	if err := p.awaitReady(); err != nil {
		p.t.Fatal(err)
	}
}

// RestartNow is Restart without the wait. The server refuses connections at first, then
// replies LOADING while it reads its files.
func (p *Process) RestartNow() {
	p.t.Helper()
	if c := p.current(); c != nil {
		c.kill()
	}
	if err := p.start(); err != nil {
		p.t.Fatal(err)
	}
}

// FailSnapshot makes a snapshot fail. From then on the server refuses writes and PING
// with MISCONF, until its stop-writes-on-bgsave-error is set to no.
func (p *Process) FailSnapshot() {
	p.t.Helper()
	ctx, rdb := p.t.Context(), p.Client()
	// A directory in the place of the snapshot cannot be replaced by it.
	if err := os.Mkdir(filepath.Join(p.dir, "dump.rdb"), 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := rdb.ConfigSet(ctx, "save", "3600 1").Err(); err != nil {
		p.t.Fatal(err)
	}
	_ = rdb.BgSave(ctx).Err()
	Eventually(p.t, func() bool {
		return strings.HasPrefix(rdb.Ping(ctx).String(), "ping: MISCONF")
	}, "the server refuses with MISCONF")
}

// Pause stops the execution of the server with SIGSTOP. Connections stay open, the kernel
// accepts new ones, and no command gets a reply.
func (p *Process) Pause() { p.launched().signal(pauseSignal) }

// Resume ends a Pause.
func (p *Process) Resume() { p.launched().signal(resumeSignal) }

// launch starts a server and waits until it is ready. The caller ends it.
func launch(args ...string) (*Process, error) {
	return launchOn(onLoopback(), freePort, settings(args))
}

// settings returns the arguments of a server. Those of the test are last.
func settings(args []string) []string {
	return append([]string{
		"--port", "{port}", "--bind", "{host}", "--protected-mode", "no", "--dir", "{dir}",
		"--unixsocket", "{dir}/redis.sock",
		"--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0",
	}, args...)
}

// launchOn tries up to five ports of pick until the server can bind one.
func launchOn(place Place, pick func() (int, error), argv []string) (*Process, error) {
	for attempt := 1; ; attempt++ {
		p, err := prepare(place, pick, argv)
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

// prepare returns a server with a port and a directory, without starting it.
func prepare(place Place, pick func() (int, error), argv []string) (*Process, error) {
	port, err := pick()
	if err != nil {
		return nil, err
	}
	root, err := filesDir()
	if err != nil {
		return nil, err
	}
	name := place.IP
	if place.isLoopback() {
		name = strconv.Itoa(port)
	}
	dir := filepath.Join(root, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	p := &Process{place: place, port: port, dir: dir, log: &serverLog{}}
	fill := strings.NewReplacer("{host}", p.Host(), "{port}", strconv.Itoa(port), "{dir}", dir)
	for _, arg := range argv {
		p.argv = append(p.argv, fill.Replace(arg))
	}
	if place.clock != "" {
		p.clock = filepath.Join(dir, "clock")
		p.env = []string{"LD_PRELOAD=" + place.clock, "REDISTEST_CLOCK=" + p.clock}
		if err := p.writeClock(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Process) current() *child {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cur
}

// launched returns the process. It fails the test if StartLater was not followed by Launch.
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
	argv := slices.Concat(p.place.Enter, []string{"redis-server"}, p.argv)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, p.log, p.log
	cmd.Env = append(os.Environ(), p.env...)
	p.log.restart()
	c, err := spawn(cmd)
	if err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	p.cur = c
	return nil
}

// awaitReady waits until the log says that the server is ready. PING would need the
// password, and another server could answer it if this one has lost its port.
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

// endWith ends the server with t.
func (p *Process) endWith(t testing.TB) {
	p.t = t
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Logf("log of the redis-server at %s:\n%s", p.Addr(), p.Log())
		}
	})
}

func (p *Process) end() {
	if c := p.current(); c != nil {
		c.kill()
	}
	_ = os.RemoveAll(p.dir)
}
