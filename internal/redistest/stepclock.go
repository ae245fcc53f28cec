package redistest

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// RunWithClock is Run with servers whose clocks can be set: Server.StepClock sets them, and
// Server.Advance passes hours in no time. Each test has a redis-server of its own.
func RunWithClock(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(t, Mini(t))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		p := StartWithClock(t)
		test(t, &Server{
			t: t, name: "redis", addr: p.Addr(), prefix: token(),
			connect: at(p.Addr()), advance: p.StepClock, step: p.StepClock,
		})
	})
}

// StepClock sets the server's clock ahead by d, or back if d is negative. As on a host
// whose clock is set, TIME changes by d, and a key expires earlier by d, or later. Other
// clocks stay as they are. It fails the test for a server of Run or RunReal that is shared.
func (s *Server) StepClock(d time.Duration) {
	s.t.Helper()
	if s.step == nil {
		s.t.Fatal("other tests share this server: use RunWithClock")
	}
	s.step(d)
}

// StartWithClock is Start for a server whose clock StepClock can set. It needs a C
// compiler, and Linux. If the compiler is missing, the test is skipped or fails, as for
// redis-server.
func StartWithClock(t testing.TB, args ...string) *Process {
	t.Helper()
	return StartAt(t, PlaceWithClock(t), args...)
}

// StepClock sets the server's clock ahead by d, or back if d is negative, at once and also
// after a Restart. Only a server of StartWithClock, or at a PlaceWithClock, has such a
// clock. The server takes a step for silence of its replicas, of its primary and of the
// other nodes of a Cluster, as it would on a host whose clock is set.
func (p *Process) StepClock(d time.Duration) {
	p.t.Helper()
	if p.clock == "" {
		p.t.Fatal("the clock of this server cannot be set: use StartWithClock")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ahead += d
	if err := p.writeClock(); err != nil {
		p.t.Fatal(err)
	}
}

// writeClock needs p.mu.
func (p *Process) writeClock() error {
	f, err := os.OpenFile(p.clock, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	// In place: the server has mapped the file.
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(p.ahead)), 0)
	return err
}

//go:embed preload/clock.c
var clockSource []byte

// clockLibrary compiles what a server with a clock of its own preloads.
var clockLibrary = sync.OnceValues(func() (string, error) {
	dir, err := filesDir()
	if err != nil {
		return "", err
	}
	source, library := filepath.Join(dir, "clock.c"), filepath.Join(dir, "clock.so")
	if err := os.WriteFile(source, clockSource, 0o600); err != nil {
		return "", err
	}
	out, err := exec.Command("cc", "-std=gnu11", "-O2", "-Wall", "-shared", "-fPIC", "-o", library, source).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("compile the preloaded clock: %w:\n%s", err, out)
	}
	return library, nil
})
