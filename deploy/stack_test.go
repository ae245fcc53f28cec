package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// A stack runs the Redis services of a Compose file without containers. It starts a
// redis-server for each with the command of the service. The files of the service's
// configs, secrets and volumes are below a folder instead of below /. In configs and
// commands only paths, the port and the address to listen on are rewritten. What only a
// container engine does is not tested here: users, read-only file systems, limits and
// networks.
type stack struct {
	t          *testing.T
	dir        string // a copy of the kit, with passwords of its own
	containers map[string]*container
	others     []string // services other than Redis, which ps lists although they never run
	bin        string   // the folder with docker and go for the blocks of the runbook

	mu   sync.Mutex
	args []string // of all calls of docker
}

type container struct {
	service types.ServiceConfig
	server  *redistest.Process
	inside  *strings.Replacer // replaces paths in the container

	mu      sync.Mutex
	running bool
}

// up does what `go run ./passwords init` and `docker compose -f file up` do.
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

// copyKit copies the Compose files and the files that they mount.
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

// create makes the files of a container. Configs are copied, because paths in them
// change. Secrets are links, so that they change with the file, as a bind mount does.
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
	redistest.Require(t, "redis-cli")
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Fatal(err)
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

// A program is a command line with the environment of a container.
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

// client returns a client of the service's Redis with the name of a user, and the user's
// password from the kit's files. An empty user sends no password.
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
