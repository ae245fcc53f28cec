package redistest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// A child is a process that this package has started.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has been reaped
	err  error         // how it ended; set before done
}

// processes has every child that was not reaped yet, and the OS thread that starts them
// all. Linux ends a child when the thread that forked it ends, so that thread must run as
// long as the test binary.
var processes = struct {
	mu      sync.Mutex
	running map[*child]bool
	starts  chan func()
	ended   bool
}{running: map[*child]bool{}}

var errEnded = errors.New("the test binary is about to exit")

// spawn starts cmd. The process ends with the test binary at the latest.
func spawn(cmd *exec.Cmd) (*child, error) {
	cmd.SysProcAttr = killWithParent()
	cmd.WaitDelay = time.Second // a forked process that writes a snapshot may still have the output open

	processes.mu.Lock()
	defer processes.mu.Unlock()
	if processes.ended {
		return nil, errEnded
	}
	if processes.starts == nil {
		processes.starts = make(chan func())
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
			for start := range processes.starts {
				start()
			}
		}()
	}
	started := make(chan error)
	processes.starts <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}

	c := &child{cmd: cmd, done: make(chan struct{})}
	processes.running[c] = true
	go func() {
		c.err = cmd.Wait()
		processes.mu.Lock()
		delete(processes.running, c)
		processes.mu.Unlock()
		close(c.done)
	}()
	return c, nil
}

// filesDir returns the directory that has the directories of all servers. It is not under a
// test's TempDir, because the path of a Unix socket must be shorter than 104 bytes.
var filesDir = sync.OnceValues(func() (string, error) {
	return os.MkdirTemp("", "redistest")
})

// signal does nothing to a process that has ended.
func (c *child) signal(sig os.Signal) { _ = c.cmd.Process.Signal(sig) }

func (c *child) hasEnded() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// kill ends the process, even a paused one, and waits until it is reaped.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}

// endProcesses kills all processes that still run, ends the thread that starts them, and
// removes their files.
func endProcesses() {
	processes.mu.Lock()
	processes.ended = true
	var left []*child
	for c := range processes.running {
		left = append(left, c)
	}
	if processes.starts != nil {
		close(processes.starts)
	}
	processes.mu.Unlock()

	for _, c := range left {
		c.kill()
	}
	if dir, err := filesDir(); err == nil {
		_ = os.RemoveAll(dir)
	}
}

// An output keeps what a process prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
