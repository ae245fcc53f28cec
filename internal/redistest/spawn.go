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

// child is a running process of ours.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the process has been reaped
	err  error         // how it ended; set before done
}

// processes is every child that has not been reaped, and the one OS thread
// that starts them: Linux ends a child when the thread that forked it ends,
// so that thread has to live as long as the test binary.
var processes = struct {
	mu     sync.Mutex
	live   map[*child]bool
	starts chan func()
	ended  bool
}{live: map[*child]bool{}}

var errEnded = errors.New("the test binary is about to exit")

// spawn starts cmd. The process ends with the test binary at the latest.
func spawn(cmd *exec.Cmd) (*child, error) {
	cmd.SysProcAttr = dieWithParent()
	cmd.WaitDelay = time.Second // a forked snapshot writer may still hold the output

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
	processes.live[c] = true
	go func() {
		c.err = cmd.Wait()
		processes.mu.Lock()
		delete(processes.live, c)
		processes.mu.Unlock()
		close(c.done)
	}()
	return c, nil
}

// filesDir holds the directories of all servers. It is not under a test's
// TempDir because the path of a Unix socket must stay below 104 bytes.
var filesDir = sync.OnceValues(func() (string, error) {
	return os.MkdirTemp("", "redistest")
})

// signal is a no-op on a process that has ended.
func (c *child) signal(sig os.Signal) { _ = c.cmd.Process.Signal(sig) }

func (c *child) hasEnded() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// kill ends the process, paused or not, and waits until it is reaped.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.done
}

// endProcesses kills what is left, releases the starting thread and removes
// the processes' files.
func endProcesses() {
	processes.mu.Lock()
	processes.ended = true
	var left []*child
	for c := range processes.live {
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

// output keeps what a process prints.
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
