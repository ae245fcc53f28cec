package netlab

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestEachLabHasANetworkOfItsOwn(t *testing.T) {
	t.Parallel()
	a, b := New(t), New(t)
	p, q := a.Start(), b.Start()
	if a.Here().String() == b.Here().String() || p.Addr() == q.Addr() {
		t.Fatalf("both have %s and %s", a.Here(), p.Addr())
	}
	a.Vanish(a.Host(p))
	isCutOff(t, p)
	reaches(t, q)
}

func TestTheNetworkEndsWithItsTest(t *testing.T) {
	t.Parallel()
	var link string
	t.Run("group", func(t *testing.T) {
		lab := New(t)
		lab.Start()
		link = lab.router.link
		if !exists(link) {
			t.Errorf("there is no link %s", link)
		}
	})
	if link != "" && exists(link) {
		t.Errorf("the link %s is still there", link)
	}
}

func TestTheNetworkEndsWithAKilledTestBinary(t *testing.T) {
	t.Parallel()
	New(t) // skips where the other process would skip
	cmd := again(t, "TestHang", "NETLAB_HANG=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	link, pid := "", 0
	for lines := bufio.NewScanner(out); pid == 0 && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "hangs with %s and %d", &link, &pid)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if pid == 0 {
		t.Fatal("the other process did not start a server")
	}
	redistest.Eventually(t, func() bool { return !exists(link) }, "the link is gone")
	redistest.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil }, "the server is gone")
}

func TestHang(t *testing.T) {
	if os.Getenv("NETLAB_HANG") == "" {
		t.Skip("runs until it is killed by TestTheNetworkEndsWithAKilledTestBinary")
	}
	lab := New(t)
	p := lab.Start()
	fmt.Printf("\nhangs with %s and %d\n", lab.router.link, p.PID())
	select {}
}

func TestWithoutTheRightsATestIsSkippedInTheOpen(t *testing.T) {
	t.Parallel()
	New(t)
	for _, c := range []struct {
		name, require string
		without       []string // the command that takes rights away
		text, result  string
	}{
		{"no root", "0", []string{"unshare", "--user"}, " needs root: ", "--- SKIP"},
		{"no root, but required", "1", []string{"unshare", "--user"}, " needs root, ", "--- FAIL"},
		{"refused", "1", []string{"setpriv", "--bounding-set", "-sys_admin"}, " refuses a network ", "--- SKIP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, _ := again(t, "TestEachLabHasANetworkOfItsOwn", "REDISTEST_REQUIRE="+c.require, c.without...).CombinedOutput()
			if !strings.Contains(string(out), c.text) || !strings.Contains(string(out), c.result) {
				t.Errorf("want %q and %q:\n%s", c.text, c.result, out)
			}
		})
	}
}

// again returns a command that runs one test of this binary in another process, by the
// command before.
func again(t *testing.T, test, env string, before ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	argv := append(before, self, "-test.v", "-test.run=^"+test+"$")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env)
	return cmd
}

func exists(link string) bool {
	_, err := net.InterfaceByName(link)
	return err == nil
}

// flagsOf returns the flags of a node in the view of another one.
func flagsOf(t *testing.T, at *redis.Client, node *redistest.Process) map[string]bool {
	t.Helper()
	nodes, err := at.ClusterNodes(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for line := range strings.Lines(nodes) {
		fields := strings.Fields(line) // id, address, flags
		if len(fields) > 2 && strings.HasPrefix(fields[1], node.Addr()+"@") {
			for flag := range strings.SplitSeq(fields[2], ",") {
				flags[flag] = true
			}
		}
	}
	return flags
}

func isReplica(t *testing.T, p *redistest.Process) bool {
	t.Helper()
	rdb := p.Client()
	defer rdb.Close()
	return strings.Contains(rdb.Info(t.Context(), "replication").Val(), "role:slave")
}
