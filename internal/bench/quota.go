package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// errNoQuota means that this machine does not let us limit the CPU time of a process.
var errNoQuota = errors.New("no control group for CPU time can be made here")

// limit limits the server to a share of one CPU, as the setting cpus of a container does.
// It uses a control group of version 1 or 2. Call remove after the server has ended.
func (s *server) limit(share float64) (remove func(), err error) {
	const period = 100_000 // µs, the kernel's default
	pid, quota := strconv.Itoa(s.cmd.Process.Pid), strconv.Itoa(int(share*period))
	for _, version := range []struct{ root, file, text string }{
		{"/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", quota},
		{"/sys/fs/cgroup", "cpu.max", fmt.Sprint(quota, " ", period)},
	} {
		group := filepath.Join(version.root, "bench-"+pid)
		if os.Mkdir(group, 0o755) != nil {
			continue
		}
		if set(group, version.file, version.text) == nil && set(group, "cgroup.procs", pid) == nil {
			return func() { _ = os.Remove(group) }, nil
		}
		_ = os.Remove(group)
	}
	return nil, errNoQuota
}

// set writes to an existing file of a control group. If the file does not exist, the group
// is only a directory.
func set(group, file, text string) error {
	f, err := os.OpenFile(filepath.Join(group, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}
