package deploy

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/convkit/rediskit/internal/redistest"
)

// run runs a block of commands in a shell in the kit's folder, and returns what it
// prints. A block that fails also fails the test.
func (s *stack) run(block string) string {
	s.t.Helper()
	out, err := s.try(block)
	if err != nil {
		s.t.Fatalf("%s\n\nprinted:\n%s\nerror: %v", block, out, err)
	}
	return out
}

func (s *stack) try(block string) (string, error) {
	// As in a terminal: without -e, and over standard input. docker reads standard input
	// too, and so may take the lines after its own.
	cmd := exec.Command("bash")
	cmd.Dir = s.dir
	cmd.Stdin = strings.NewReader(strings.TrimSpace(block) + " && echo the whole block was run\n")
	cmd.Env = append(os.Environ(), "PATH="+s.bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	text, whole := strings.CutSuffix(string(out), "the whole block was run\n")
	if err == nil && !whole {
		err = errors.New("it failed, or docker took some of its lines")
	}
	return text, err
}

// shims makes the commands docker and go for the blocks of the runbook, and returns their
// folder. docker asks this process what to do, and runs programs with the environment of
// their container. go runs the kit's passwords command for the folder of the stack.
func (s *stack) shims() string {
	t := s.t
	t.Helper()
	bin := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	socketDir, err := os.MkdirTemp("", "docker") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(socketDir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
		os.RemoveAll(socketDir)
	})
	write(t, bin+"/docker", fmt.Appendf(nil, "#!/bin/sh\nREDISTEST_CHILD=%s exec %s %s \"$@\"\n", docker, self, socket), 0o755)
	write(t, bin+"/go", fmt.Appendf(nil, `#!/bin/sh
[ "$1 $2" = "run ./passwords" ] || { echo "only go run ./passwords is known here" >&2; exit 1; }
shift 2
if [ "$1" = rotate ]; then # 100 ms instead of a minute, unless the block has its own -grace
	shift
	set -- rotate -grace 100ms "$@"
fi
cd %s && exec %s run ./passwords -dir %s "$@"
`, here, goTool, s.dir), 0o755)
	return bin
}

// answer says what docker must print and its exit code, or the program that it must run.
type answer struct {
	Out  string
	Code int
	Run  *program
}

var docker = redistest.Child("docker", func(args []string) {
	conn, err := net.Dial("unix", args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(125)
	}
	var got answer
	if err = json.NewEncoder(conn).Encode(args[1:]); err == nil {
		err = json.NewDecoder(conn).Decode(&got)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(125)
	}
	if got.Run == nil {
		fmt.Print(got.Out)
		os.Exit(got.Code)
	}
	// As docker does, it reads all of standard input, whether or not the program needs it.
	input, _ := io.ReadAll(os.Stdin)
	cmd := exec.CommandContext(context.Background(), "env", append(append([]string{"-i"}, got.Run.Env...), got.Run.Argv...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(string(input)), os.Stdout, os.Stderr
	_ = cmd.Run()
	os.Exit(cmd.ProcessState.ExitCode())
})

func (s *stack) serve(conn net.Conn) {
	defer conn.Close()
	var args []string
	if json.NewDecoder(bufio.NewReader(conn)).Decode(&args) == nil {
		_ = json.NewEncoder(conn).Encode(s.docker(args))
	}
}

// dockerArgs returns all arguments of all calls of docker so far.
func (s *stack) dockerArgs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.args)
}

// docker handles the commands that the runbook uses.
func (s *stack) docker(args []string) answer {
	s.mu.Lock()
	s.args = append(s.args, args...)
	s.mu.Unlock()
	unknown := answer{Out: fmt.Sprintf("docker %q: not known to the test\n", args), Code: 125}
	if len(args) < 2 || args[0] != "compose" {
		return unknown
	}
	command := args[1]
	var options, words []string
	for i, arg := range args[2:] {
		if !strings.HasPrefix(arg, "-") {
			words = args[2+i:]
			break
		}
		options = append(options, arg)
	}
	switch command {
	case "up":
		for _, c := range s.containers {
			c.start()
		}
		return answer{}
	case "ps":
		var names strings.Builder
		for name, c := range s.containers {
			if c.isRunning() {
				fmt.Fprintln(&names, name)
			}
		}
		return answer{Out: names.String() + strings.Join(s.others, "\n") + "\n"}
	case "exec", "run":
		if len(words) < 2 || s.containers[words[0]] == nil || !slices.Contains(options, "-T") {
			return unknown
		}
		c := s.containers[words[0]]
		if command == "exec" && !c.isRunning() {
			return answer{Out: "service is not running\n", Code: 1}
		}
		run := c.program(words[1:])
		return answer{Run: &run}
	case "stop", "start", "restart", "logs":
		var out string
		for _, name := range words {
			c := s.containers[name]
			switch {
			case slices.Contains(s.others, name):
				continue
			case c == nil:
				return unknown
			}
			switch command {
			case "logs":
				out += c.server.Log()
			case "start":
				c.start()
			default:
				c.stop()
				if command == "restart" {
					c.start()
				}
			}
		}
		return answer{Out: out}
	}
	return unknown
}
