package netlab

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// newNamespace returns an empty namespace. A process that exists only meanwhile makes it: a
// thread of this one would have to stay in it.
func newNamespace() (*namespace, error) {
	cmd := exec.Command("cat") // runs until its standard input is closed
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid))
	stdin.Close()
	_ = cmd.Wait()
	if err != nil {
		return nil, err
	}
	return &namespace{file}, nil
}
