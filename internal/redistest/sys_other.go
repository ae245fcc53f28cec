//go:build unix && !linux

package redistest

import "syscall"

const (
	pauseSignal  = syscall.SIGSTOP
	resumeSignal = syscall.SIGCONT
)

// dieWithParent has no counterpart here: a killed test binary leaves its
// servers running.
func dieWithParent() *syscall.SysProcAttr { return nil }
