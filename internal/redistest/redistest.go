// Package redistest runs one test against two servers, miniredis and a real redis-server,
// and breaks them as the test asks: processes that are killed, paused or restarted,
// connections that lose replies, failovers, clusters, clocks of servers that are set, and
// clocks that pass five minutes in a millisecond.
//
// A package that uses it has one TestMain:
//
//	func TestMain(m *testing.M) { redistest.Main(m) }
//
// and tests of this shape:
//
//	func TestSetExpires(t *testing.T) {
//		t.Parallel()
//		redistest.Run(t, func(t *testing.T, s *redistest.Server) {
//			rdb := s.Client()
//			...
//			s.Advance(100 * time.Millisecond)
//		})
//	}
//
// Every server listens on loopback only, on a port of its own, and ends with the test that
// started it. The shared redis-server ends with the test binary. On Linux they also end
// when the test binary is killed. Where redis-server is not installed, a test that needs
// it is skipped, or fails if REDISTEST_REQUIRE=1 is set.
package redistest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9/logging"
	"go.uber.org/goleak"
)

// Main is the body of TestMain. It runs the tests, ends every process that they have left
// running, and exits. If the tests pass and a goroutine still runs, it fails the run. In a
// process started by Spawn it runs that Child instead.
func Main(m *testing.M) {
	if name, ok := os.LookupEnv(childEnv); ok {
		code := runChild(name)
		endProcesses()
		os.Exit(code)
	}
	logging.Disable() // go-redis reports every connection that a test breaks
	code := m.Run()
	endProcesses()
	if code == 0 {
		err := goleak.Find()
		// go-redis checks an unreachable server once a second, even for closed clients.
		for deadline := time.Now().Add(3 * time.Second); err != nil && time.Now().Before(deadline); err = goleak.Find() {
			time.Sleep(pollEvery)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "redistest: the tests passed but left goroutines behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Run runs test twice, as the parallel subtests "miniredis" and "redis". The first has a
// miniredis of its own. The second shares one redis-server with every other test of the
// binary. So test must use only keys under s.Prefix(), and must not change what others
// rely on (CONFIG SET, FLUSHALL, SCRIPT FLUSH): use Start for that.
func Run(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(t, Mini(t))
	})
	RunReal(t, test)
}

// RunReal is Run without miniredis.
func RunReal(t *testing.T, test func(t *testing.T, s *Server)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, Real(t))
	})
}

// Eventually calls cond every 2 ms until it returns true. It fails the test if cond has not
// returned true after ten seconds, with what as the text. Inside Bubble the ten seconds
// are the bubble's. Call it from the test's goroutine.
func Eventually(t testing.TB, cond func() bool, what ...any) {
	t.Helper()
	Within(t, patience, cond, what...)
}

// Within is Eventually with a limit of its own.
func Within(t testing.TB, limit time.Duration, cond func() bool, what ...any) {
	t.Helper()
	for deadline := time.Now().Add(limit); !cond(); time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, fmt.Sprint(what...))
		}
	}
}

const (
	patience  = 10 * time.Second
	pollEvery = 2 * time.Millisecond
)

// Require is for a test that runs a program by itself. If the program is missing, the test
// is skipped or fails, as for redis-server.
func Require(t testing.TB, program string) {
	t.Helper()
	requireProgram(t, program)
}

// Required reports whether REDISTEST_REQUIRE=1 says that nothing may be missing.
func Required() bool { return os.Getenv("REDISTEST_REQUIRE") == "1" }

// RequireRoot skips the test if it does not run as root, or fails it if REDISTEST_REQUIRE=1
// says that what, which needs root, must be possible.
func RequireRoot(t testing.TB, what string) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if Required() {
		t.Fatalf("%s needs root, and REDISTEST_REQUIRE=1 says that it must be possible", what)
	}
	t.Skipf("%s needs root: run this test as root", what)
}

// requireProgram skips the test if program is missing, or fails it if REDISTEST_REQUIRE=1
// says that every program must be installed.
func requireProgram(t testing.TB, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if Required() {
		t.Fatalf("%s is not installed, and REDISTEST_REQUIRE=1 says that it must be", program)
	}
	from := program
	switch {
	case strings.HasPrefix(program, "redis-"):
		from = "Redis 7 or later"
	case program == "promtool":
		from = "prometheus"
	case program == "ip":
		from = "iproute2"
	case program == "iptables-restore":
		from = "iptables"
	case program == "nsenter":
		from = "util-linux"
	case program == "cc":
		from = "a C compiler"
	}
	t.Skipf("%s is not installed: install %s to run this test", program, from)
}
