package deploy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// stack is the Redis services of a Compose file, run from it without containers:
// a redis-server for each, started with the service's own command, whose files lie
// where the service's configs, secrets and volumes put them, below a folder instead
// of below /. Their paths are rewritten in configs and commands, and so are
// the port and the address to listen on; nothing else is. What only a container
// engine does is not tested here: users, read-only roots, limits, networks.
type stack struct {
	t          *testing.T
	dir        string // a copy of the kit, with passwords of its own
	containers map[string]*container
	others     []string // services that are no Redis: they are told to run, and never do
	bin        string   // docker and go, as blocks of the runbook call them

	mu   sync.Mutex
	said []string // every argument that docker was given
}

type container struct {
	service types.ServiceConfig
	server  *redistest.Process
	inside  *strings.Replacer // of paths in the container

	mu      sync.Mutex
	running bool
}

// up makes what `go run ./passwords init` and `docker compose -f file up` do.
func up(t *testing.T, file string) *stack {
	t.Helper()
	s := &stack{t: t, dir: t.TempDir(), containers: map[string]*container{}}
	copyKit(t, s.dir)
	s.bin = s.shims()
	s.run("go run ./passwords init")

	project := load(t, filepath.Join(s.dir, file))
	for _, service := range project.Services {
		if strings.HasPrefix(service.Image, "redis:") {
			s.containers[service.Name] = s.create(project, service)
		} else if len(service.Profiles) == 0 {
			s.others = append(s.others, service.Name)
		}
	}
	for _, c := range s.containers {
		c.start()
	}
	return s
}

// copyKit copies what a Compose file mounts.
func copyKit(t *testing.T, to string) {
	t.Helper()
	for _, pattern := range []string{"compose*.yaml", "redis/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("found no %s: %v", pattern, err)
		}
		for _, file := range files {
			copyFile(t, file, filepath.Join(to, file), nil)
		}
	}
}

func copyFile(t *testing.T, from, to string, edit *strings.Replacer) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		content = []byte(edit.Replace(string(content)))
	}
	write(t, to, content, info.Mode())
}

func write(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
}

// create lays out the container's files. Configs are copies, because paths in them
// change; secrets are links, which follow the file as a bind mount follows its inode.
func (s *stack) create(project *types.Project, service types.ServiceConfig) *container {
	t := s.t
	t.Helper()
	if len(service.Command) == 0 || service.Command[0] != "redis-server" {
		t.Fatalf("the command of %s is %q, want redis-server itself", service.Name, service.Command)
	}
	var args []string
	for _, arg := range service.Command[1:] {
		args = append(args, strings.Replace(arg, "/usr/", "{dir}/usr/", 1))
	}
	server := redistest.StartLaterAs(t, args...)
	root := server.Dir()
	c := &container{service: service, server: server}
	c.inside = strings.NewReplacer(
		"/usr/local/etc/", root+"/usr/local/etc/",
		"/run/secrets/", root+"/run/secrets/",
		"/data", root+"/data",
		"port 6379", "port "+strconv.Itoa(server.Port()),
		"bind 0.0.0.0", "bind 127.0.0.1",
	)
	for _, mount := range service.Configs {
		copyFile(t, project.Configs[mount.Source].File, root+mount.Target, c.inside)
	}
	for _, mount := range service.Secrets {
		link := root + mount.Target
		if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(project.Secrets[mount.Source].File, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, mount := range service.Volumes {
		if err := os.MkdirAll(root+mount.Target, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed: install Redis 7 or later to run this test")
	}
	write(t, root+"/usr/local/bin/redis-cli", fmt.Appendf(nil, "#!/bin/sh\nexec %s -p %d \"$@\"\n", cli, server.Port()), 0o755)
	return c
}

func (c *container) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.running {
		c.server.Launch()
		c.running = true
	}
}

// stop is `docker compose stop`: SIGTERM to process 1.
func (c *container) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running {
		c.server.Stop()
		c.running = false
	}
}

func (c *container) isRunning() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running
}

// program is what runs argv in the container.
type program struct{ Argv, Env []string }

func (c *container) program(argv []string) program {
	p := program{Env: []string{"PATH=" + c.server.Dir() + "/usr/local/bin:" + os.Getenv("PATH")}}
	for _, arg := range argv {
		p.Argv = append(p.Argv, c.inside.Replace(arg))
	}
	for name, value := range c.service.Environment {
		if value != nil {
			p.Env = append(p.Env, name+"="+*value)
		}
	}
	return p
}

// in runs argv in a service's container and returns what it printed and its exit
// code.
func (s *stack) in(service string, argv ...string) (string, int) {
	s.t.Helper()
	p := s.containers[service].program(argv)
	cmd := exec.Command("env", append(append([]string{"-i"}, p.Env...), p.Argv...)...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// client is a client of the service's Redis as a user of it, whose password it reads
// from the kit's files.
func (s *stack) client(service, user string, opts ...func(*redis.Options)) *redis.Client {
	s.t.Helper()
	as := func(o *redis.Options) {
		if user != "" {
			o.Username, o.Password = user, s.password(user)
		}
	}
	return s.containers[service].server.Client(append([]func(*redis.Options){as}, opts...)...)
}

func (s *stack) password(user string) string {
	s.t.Helper()
	if user == "health" {
		return "any"
	}
	file := map[string]string{"default": "redis_password.txt", "admin": "admin_password.txt", "exporter": "exporter.json"}[user]
	content, err := os.ReadFile(filepath.Join(s.dir, "secrets", file))
	if err != nil {
		s.t.Fatal(err)
	}
	if user == "exporter" {
		var passwords map[string]string
		if err := json.Unmarshal(content, &passwords); err != nil {
			s.t.Fatal(err)
		}
		return passwords["redis://exporter@redis:6379"]
	}
	return strings.TrimSpace(string(content))
}

// run pastes a block of commands into a shell in the kit's folder, and returns what
// it prints. A block that fails fails the test.
func (s *stack) run(block string) string {
	s.t.Helper()
	// Standard input rather than an argument: docker reads it, and so takes away the
	// lines after its own, as it does from what is pasted into a terminal.
	cmd := exec.Command("bash", "-euo", "pipefail")
	cmd.Dir = s.dir
	cmd.Stdin = strings.NewReader(strings.TrimSpace(block) + "; echo the whole block was run\n")
	cmd.Env = append(os.Environ(), "PATH="+s.bin+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	text, whole := strings.CutSuffix(string(out), "the whole block was run\n")
	if err != nil || !whole {
		s.t.Fatalf("%s\n\nprinted:\n%s\nerror: %v, the whole block was run: %v", block, text, err, whole)
	}
	return text
}

// shims makes a docker and a go for the blocks of the runbook: docker runs what it
// is told here, with the container's environment, and go runs the kit's passwords
// command for the stack's folder.
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
	socketDir, err := os.MkdirTemp("", "docker") // a socket's path must be short
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
if [ "$1" = rotate ]; then # a moment instead of a minute, unless told otherwise
	shift
	set -- rotate -grace 100ms "$@"
fi
cd %s && exec %s run ./passwords -dir %s "$@"
`, here, goTool, s.dir), 0o755)
	return bin
}

// answer is what docker is to print and how to end, or what it is to run first.
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
	// As docker does, it takes all of standard input, wanted or not.
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

// docker knows the commands that the runbook uses.
func (s *stack) docker(args []string) answer {
	s.mu.Lock()
	s.said = append(s.said, args...)
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
