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
	_, err := output(n.enter(), stdin, program, args...)
	return err
}

// output is run for a program that prints what is wanted.
func (n *namespace) output(program string, args ...string) (string, error) {
	return output(n.enter(), "", program, args...)
}

func (n *namespace) close() { n.file.Close() }

// output runs a program by the command enter, or in the namespace of this process without
// one.
func output(enter []string, stdin, program string, args ...string) (string, error) {
	argv := slices.Concat(enter, []string{program}, args)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", program, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// runHere runs a program in the namespace of this process.
func runHere(stdin, program string, args ...string) error {
	_, err := output(nil, stdin, program, args...)
	return err
}
