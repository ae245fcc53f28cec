package netlab

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// A namespace is a network of its own in the kernel. It has no name. It exists as long as
// this process has its file open, or a process runs in it.
type namespace struct{ file *os.File }

// path returns a name of the namespace for other processes.
func (n *namespace) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.file.Fd()) }

// enter returns the command that runs the command after it in n.
func (n *namespace) enter() []string { return []string{"nsenter", "--net=" + n.path()} }

// run runs a program in n and waits for its end.
func (n *namespace) run(stdin, program string, args ...string) error {
	return run(n.enter(), stdin, program, args...)
}

func (n *namespace) close() { n.file.Close() }

func run(enter []string, stdin, program string, args ...string) error {
	argv := slices.Concat(enter, []string{program}, args)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
