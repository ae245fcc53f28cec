package redistest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A Program is a server other than Redis, such as Prometheus.
type Program struct {
	addr string
	cur  *child
	log  *output
}

// StartProgram starts the program name, which ends with the test, and waits until it
// listens. In args {port} stands for a free port of 127.0.0.1, and {dir} for a directory
// of its own. env is added to the test's environment. If the program is missing, the test
// is skipped or fails, as for redis-server. A failed test shows what the program printed.
func StartProgram(t testing.TB, env []string, name string, args ...string) *Program {
	t.Helper()
	requireProgram(t, name)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	p := &Program{addr: loopback(port), log: &output{}}
	fill := strings.NewReplacer("{port}", strconv.Itoa(port), "{dir}", t.TempDir())
	argv := make([]string, len(args))
	for i, arg := range args {
		argv[i] = fill.Replace(arg)
	}
	cmd := exec.Command(name, argv...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	if p.cur, err = spawn(cmd); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.log)
		}
	})
	if err := p.awaitListening(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	return p
}

func (p *Program) awaitListening() error {
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(pollEvery) {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			return conn.Close()
		}
		if p.cur.hasEnded() {
			return fmt.Errorf("it ended at once: %w", p.cur.err)
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// Addr returns the host:port on which it listens.
func (p *Program) Addr() string { return p.addr }

// Log returns what it has printed so far.
func (p *Program) Log() string { return p.log.String() }

// Kill ends it and waits for its end.
func (p *Program) Kill() { p.cur.kill() }
