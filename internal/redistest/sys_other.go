//go:build unix && !linux

package redistest

import "syscall"

const (
	pauseSignal  = syscall.SIGSTOP
	resumeSignal = syscall.SIGCONT
)

// killWithParent does nothing on this system: the servers of a killed test binary go on
// running.
func killWithParent() *syscall.SysProcAttr { return nil }
