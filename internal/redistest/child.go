package redistest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// childEnv names the Child that a process started by Spawn is.
const childEnv = "REDISTEST_CHILD"

var children = map[string]func(args []string){}

// Child registers main as the program that Spawn(t, name, ...) runs in a process of its
// own. It returns name. Register it before Main, in a package variable or an init
// function:
//
//	var holder = redistest.Child("holder", func(args []string) { ... })
//
// main communicates with its parent through standard input and output, line by line, and
// ends its process by returning.
func Child(name string, main func(args []string)) string {
	if children[name] != nil {
		panic("redistest: two children are called " + name)
	}
	children[name] = main
	return name
}

func runChild(name string) (code int) {
	_ = os.Unsetenv(childEnv)
	main := children[name]
	if main == nil {
		fmt.Fprintf(os.Stderr, "redistest: no child is called %q\n", name)
		return 2
	}
	main(os.Args[1:])
	return 0
}

// A ChildProcess is a running Child. Its methods may be called from any goroutine. Send
// fails the test if it cannot write, Line if no line arrives.
type ChildProcess struct {
	*child
	t     testing.TB
	name  string
	stdin io.WriteCloser
	lines *lineQueue
}

// Spawn runs the test binary once more, as the named Child. The process inherits the race
// detector, runs no tests, and ends with this test at the latest. If the test fails, it
// shows what the child printed to standard error. A data race in the child fails the test.
func Spawn(t testing.TB, name string, args ...string) *ChildProcess {
	t.Helper()
	return SpawnAt(t, onLoopback(), name, args...)
}

// SpawnAt is Spawn for a process at place. It has the network of that place.
func SpawnAt(t testing.TB, place Place, name string, args ...string) *ChildProcess {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatalf("find the test binary: %v", err)
	}
	argv := slices.Concat(place.Enter, []string{self}, args)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	stderr, lines := &output{}, &lineQueue{more: make(chan struct{}, 1)}
	cmd.Stdout, cmd.Stderr = lines, stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	c, err := spawn(cmd)
	if err != nil {
		t.Fatalf("start child %s: %v", name, err)
	}
	t.Cleanup(func() {
		c.kill()
		if text := stderr.String(); strings.Contains(text, "WARNING: DATA RACE") {
			t.Errorf("child %s has a data race:\n%s", name, text)
		} else if t.Failed() && text != "" {
			t.Logf("standard error of child %s:\n%s", name, text)
		}
	})
	return &ChildProcess{child: c, t: t, name: name, stdin: stdin, lines: lines}
}

// PID returns the id of the process.
func (p *ChildProcess) PID() int { return p.cmd.Process.Pid }

// Send writes one line to the child's standard input.
func (p *ChildProcess) Send(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatalf("write to child %s: %v", p.name, err)
	}
}

// Line waits for the next line of the child's standard output, ten seconds at most.
func (p *ChildProcess) Line() string {
	p.t.Helper()
	for deadline := time.After(patience); ; {
		ended := p.hasEnded() // read before the queue: if it has ended, all its lines are there
		if line, ok := p.lines.pop(); ok {
			return line
		}
		if ended {
			p.t.Fatalf("child %s ended instead of printing a line", p.name)
		}
		select {
		case <-p.lines.more:
		case <-p.done:
		case <-deadline:
			p.t.Fatalf("child %s has printed no line for %v", p.name, patience)
		}
	}
}

// Pause stops the execution of the child with SIGSTOP.
func (p *ChildProcess) Pause() { p.signal(pauseSignal) }

// Resume ends a Pause.
func (p *ChildProcess) Resume() { p.signal(resumeSignal) }

// Kill ends the child with SIGKILL and waits for its end.
func (p *ChildProcess) Kill() { p.kill() }

// Wait waits until the child ends by itself, ten seconds at most, and returns what
// exec.Cmd.Wait does.
func (p *ChildProcess) Wait() error {
	p.t.Helper()
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		p.t.Fatalf("child %s still runs after %v", p.name, patience)
	}
	panic("unreachable")
}

// A lineQueue is a child's standard output, cut into lines that are not read yet.
type lineQueue struct {
	mu   sync.Mutex
	text []byte
	more chan struct{} // holds a token while there may be a line
}

func (q *lineQueue) Write(b []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.text = append(q.text, b...)
	q.notify()
	return len(b), nil
}

func (q *lineQueue) pop() (string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	line, rest, found := bytes.Cut(q.text, []byte("\n"))
	if !found {
		return "", false
	}
	q.text = rest
	q.notify()
	return string(line), true
}

// notify reports that there may be a line. It needs q.mu.
func (q *lineQueue) notify() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}
