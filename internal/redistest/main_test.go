package redistest

import (
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

// rerun runs one test of this binary in another process.
func rerun(t *testing.T, test string, env ...string) (output string, passed bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.v", "-test.run=^"+test+"$")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func TestAMissingServerSkipsTheTestUnlessRequired(t *testing.T) {
	t.Parallel()
	out, passed := rerun(t, "TestTheRealServerIsShared", "PATH=", "REDISTEST_REQUIRE=0")
	if !passed || !strings.Contains(out, "redis-server is not installed") || !strings.Contains(out, "--- SKIP") {
		t.Errorf("not required: passed %v\n%s", passed, out)
	}
	out, passed = rerun(t, "TestTheRealServerIsShared", "PATH=", "REDISTEST_REQUIRE=1")
	if passed || !strings.Contains(out, "redis-server is not installed") {
		t.Errorf("required: passed %v\n%s", passed, out)
	}
}

func TestMainEndsTheSharedServer(t *testing.T) {
	startsReal(t)
	out, passed := rerun(t, "TestTheRealServerIsShared")
	pid := regexp.MustCompile(`process (\d+) in (\S+)`).FindStringSubmatch(out)
	if !passed || pid == nil {
		t.Fatalf("passed %v\n%s", passed, out)
	}
	if n, _ := strconv.Atoi(pid[1]); alive(n) {
		t.Errorf("process %d still runs after its test binary", n)
	}
	if _, err := os.Stat(pid[2]); err == nil {
		t.Errorf("%s is still there", pid[2])
	}
}

func TestMainFailsARunThatLeaks(t *testing.T) {
	t.Parallel()
	out, passed := rerun(t, "TestLeak", "REDISTEST_LEAK=1")
	if passed || !strings.Contains(out, "left goroutines behind") {
		t.Errorf("passed %v\n%s", passed, out)
	}
}

func TestLeak(t *testing.T) {
	if os.Getenv("REDISTEST_LEAK") == "" {
		t.Skip("leaks a goroutine for TestMainFailsARunThatLeaks")
	}
	go func() { select {} }()
}

func TestEventuallyFailsAfterTenSeconds(t *testing.T) {
	t.Parallel()
	Bubble(t, func(t *testing.T, _ *Server) { // where ten seconds pass at once
		probe := &recorder{TB: t}
		start, polls := time.Now(), 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			Eventually(probe, func() bool { polls++; return false }, "never")
		}()
		<-done
		if probe.fatals != 1 || polls < 100 || time.Since(start) < patience {
			t.Errorf("%d failures after %d polls and %v", probe.fatals, polls, time.Since(start))
		}
	})
}

// A recorder takes the place of a test whose failure is expected.
type recorder struct {
	testing.TB
	cleanup        func()
	errors, fatals int
}

func (r *recorder) Cleanup(f func())      { r.cleanup = f }
func (r *recorder) Errorf(string, ...any) { r.errors++ }
func (r *recorder) Fatalf(string, ...any) {
	r.fatals++
	runtime.Goexit()
}
