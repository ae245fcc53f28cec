package durability

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/convkit/rediskit/internal/redistest"
)

// powerLoss runs each server on a file system of its own. At the fault the test copies the
// disks under them, as they are at that moment: what the kernel has not written to a disk yet
// is not in its copy. The servers are then killed and started again on the copies.
func powerLoss(r *run) *redistest.Process {
	args := append([]string{"--dir", "{dir}/" + mountPoint}, r.setting.args...)
	if r.setting.replicas == 0 {
		d := newDisk(r.t)
		p := redistest.StartAt(r.t, d.place(), args...)
		r.start(target{addrs: []string{p.Addr()}})
		cutPower(r.t, []disk{d}, []*redistest.Process{p})
		r.observe()
		return p
	}
	disks := []disk{newDisk(r.t)}
	for range r.setting.replicas {
		disks = append(disks, newDisk(r.t))
	}
	placed := 0
	s := r.startSentinel(func(o *redistest.SentinelOptions) {
		o.Args = args
		o.Place = func() redistest.Place {
			if placed == len(disks) { // of a Sentinel
				return redistest.Place{}
			}
			placed++
			return disks[placed-1].place()
		}
	})
	r.unnoticed(s)
	cutPower(r.t, disks, s.Servers())
	r.observe()
	return s.Master()
}

// cutPower lets all servers lose power at once. disks are theirs, in that order.
func cutPower(t *testing.T, disks []disk, servers []*redistest.Process) {
	t.Helper()
	for _, p := range servers {
		p.Pause() // nothing is acknowledged that no copy can have
	}
	for _, d := range disks {
		d.copy(t)
	}
	for i, p := range servers {
		p.Kill()
		disks[i].becomesCopy(t)
		p.Restart()
	}
}

// mountPoint is in the server's directory, which the server is started in.
const mountPoint = "disk"

// A disk is a file with a file system in it.
type disk struct{ image string }

// newDisk skips the test where a file system cannot be mounted. Without root it fails instead if
// REDISTEST_REQUIRE=1 is set.
func newDisk(t *testing.T) disk {
	t.Helper()
	for _, program := range []string{"mkfs.ext4", "unshare", "mount", "cp"} {
		redistest.Require(t, program)
	}
	redistest.RequireRoot(t, "a disk that loses power")
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
		t.Skipf("this machine refuses a file system of its own: %v: %s", err, out)
	}
	return d
}

// place is where the file system is mounted. Only the server sees it, in a mount namespace of
// its own. So it is unmounted when the server ends, even if the test is killed.
func (d disk) place() redistest.Place {
	script := fmt.Sprintf(`mkdir -p %[1]s && mount -o loop "$0" %[1]s && exec "$@"`, mountPoint)
	return redistest.Place{Enter: []string{"unshare", "--mount", "--", "sh", "-c", script, d.image}}
}

// copy copies what is on the disk.
func (d disk) copy(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("cp", "--sparse=always", d.image, d.image+".copy").CombinedOutput(); err != nil {
		t.Fatalf("copy the disk: %v: %s", err, out)
	}
}

// becomesCopy puts the copy in the place of d.
func (d disk) becomesCopy(t *testing.T) {
	t.Helper()
	if err := os.Rename(d.image+".copy", d.image); err != nil {
		t.Fatal(err)
	}
}
