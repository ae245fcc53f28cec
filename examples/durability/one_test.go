package durability

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/convkit/rediskit/internal/redistest"
)

// killed kills the primary and starts it again before anybody takes it for dead.
func killed(r *run) *redistest.Process {
	if r.setting.replicas > 0 {
		s := r.startSentinel()
		s.Master().Restart()
		r.observe()
		return s.Master()
	}
	p := redistest.Start(r.t, r.setting.args...)
	r.start(target{addrs: []string{p.Addr()}})
	p.Restart()
	r.observe()
	return p
}

// powerLoss runs the server on a file system of its own. At the fault the test copies the
// disk under it, as it is at that moment: what the kernel has not written to the disk yet is
// not in the copy. The server is then killed and started again on the copy.
func powerLoss(r *run) *redistest.Process {
	disk := newDisk(r.t)
	p := redistest.StartAt(r.t, disk.place(), append([]string{"--dir", "{dir}/" + mountPoint}, r.setting.args...)...)
	r.start(target{addrs: []string{p.Addr()}})
	p.Pause() // nothing is acknowledged that the copy cannot have
	snapshot := disk.copy(r.t)
	p.Kill()
	disk.becomes(r.t, snapshot)
	p.Restart()
	r.observe()
	return p
}

// mountPoint is in the server's directory, which the server is started in.
const mountPoint = "disk"

// A disk is a file with a file system in it.
type disk struct{ image string }

// newDisk skips the test where a file system cannot be mounted.
func newDisk(t *testing.T) disk {
	t.Helper()
	for _, program := range []string{"mkfs.ext4", "unshare", "mount", "cp"} {
		redistest.Require(t, program)
	}
	d := disk{filepath.Join(t.TempDir(), "image")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 64<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", d.image).CombinedOutput(); err != nil {
		t.Fatalf("make a file system: %v: %s", err, out)
	}
	trial := exec.Command(d.place().Enter[0], append(d.place().Enter[1:], "true")...)
	trial.Dir = t.TempDir()
	if out, err := trial.CombinedOutput(); err != nil {
		if os.Geteuid() != 0 {
			t.Skipf("a disk that loses power needs root: run this test as root (%v)", err)
		}
		t.Skipf("this machine refuses a file system of its own: %v: %s", err, out)
	}
	return d
}

// place is where the file system is mounted. Only the server sees it, in a mount namespace of its
// own, so that it is unmounted when the server ends, even if the test is killed.
func (d disk) place() redistest.Place {
	script := fmt.Sprintf(`mkdir -p %[1]s && mount -o loop "$0" %[1]s && exec "$@"`, mountPoint)
	return redistest.Place{Enter: []string{"unshare", "--mount", "--", "sh", "-c", script, d.image}}
}

// copy returns a copy of what is on the disk.
func (d disk) copy(t *testing.T) disk {
	t.Helper()
	c := disk{d.image + ".copy"}
	if out, err := exec.Command("cp", "--sparse=always", d.image, c.image).CombinedOutput(); err != nil {
		t.Fatalf("copy the disk: %v: %s", err, out)
	}
	return c
}

// becomes puts another one in the place of d.
func (d disk) becomes(t *testing.T, other disk) {
	t.Helper()
	if err := os.Rename(other.image, d.image); err != nil {
		t.Fatal(err)
	}
}
