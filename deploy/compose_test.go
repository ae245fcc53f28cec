package deploy

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
)

// variants are the Compose files that a user may start together.
var variants = map[string][]string{
	"two instances": {"compose.yaml"},
	"one instance":  {"compose.single.yaml"},
	"on a laptop":   {"compose.yaml", "compose.laptop.yaml"},
}

// load reads Compose files as `docker compose -f` does, with all profiles. A warning
// of Compose fails the test.
func load(t *testing.T, files ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(files, cli.WithProfiles([]string{"*"}))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if warned := warnings.all(); len(warned) > 0 {
		t.Fatalf("Compose warns: %q", warned)
	}
	return project
}

// warnings has the warnings and errors that compose-go has logged.
var warnings = func() *messages {
	m := &messages{}
	logrus.AddHook(m)
	return m
}()

type messages struct {
	mu   sync.Mutex
	list []string
}

func (m *messages) Levels() []logrus.Level { return logrus.AllLevels[:logrus.WarnLevel+1] }

func (m *messages) Fire(entry *logrus.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, entry.Message)
	return nil
}

func (m *messages) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.list)
}

func eachVariant(t *testing.T, check func(t *testing.T, p *types.Project)) {
	for name, files := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, load(t, files...))
		})
	}
}

func TestEveryServiceIsConfined(t *testing.T) {
	t.Parallel()
	eachVariant(t, func(t *testing.T, p *types.Project) {
		for name, s := range p.Services {
			uid, _, _ := strings.Cut(s.User, ":")
			switch limits := s.Deploy.Resources.Limits; {
			case !s.ReadOnly:
				t.Errorf("%s can write to its image's files", name)
			case uid == "" || uid == "0" || uid == "root":
				t.Errorf("%s runs as user %q", name, s.User)
			case !slices.Equal(s.CapDrop, []string{"ALL"}) || len(s.CapAdd) > 0 || s.Privileged:
				t.Errorf("%s has capabilities", name)
			case !slices.Contains(s.SecurityOpt, "no-new-privileges:true"):
				t.Errorf("%s can gain privileges", name)
			case limits == nil || limits.MemoryBytes == 0 || limits.NanoCPUs == 0 || limits.Pids == 0:
				t.Errorf("%s lacks a limit of memory, CPUs or processes", name)
			case s.Logging == nil || s.Logging.Options["max-size"] == "":
				t.Errorf("the log of %s may fill the disk", name)
			case s.Restart != "unless-stopped":
				t.Errorf("%s restarts %q", name, s.Restart)
			case !strings.Contains(s.Image, ":") || strings.HasSuffix(s.Image, ":latest") || strings.HasSuffix(s.Image, ":alpine"):
				t.Errorf("the image of %s names no version: %s", name, s.Image)
			}
		}
	})
}

// A published port is reachable from other machines, and passes the host's firewall,
// unless it is on loopback.
func TestNoPortIsPublishedBeyondLoopback(t *testing.T) {
	t.Parallel()
	eachVariant(t, func(t *testing.T, p *types.Project) {
		for name, s := range p.Services {
			for _, port := range s.Ports {
				if port.HostIP != "127.0.0.1" {
					t.Errorf("port %s of %s is published on %q", port.Published, name, port.HostIP)
				}
			}
		}
	})
	for _, file := range []string{"compose.yaml", "compose.single.yaml"} {
		for name, s := range load(t, file).Services {
			if len(s.Ports) > 0 && !slices.Contains(s.Profiles, "observe") {
				t.Errorf("%s: a port of %s is published, although the user has not asked for it", file, name)
			}
		}
	}
}

func TestEachContainerHasItsFixedName(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]map[string]string{ // by the container's name
		"compose.yaml":        {"redis-cache": "redis", "redis-state": "redis-state", "redis-exporter": "redis-exporter", "": ""},
		"compose.single.yaml": {"redis-cache": "redis", "redis-exporter": "redis-exporter"},
	} {
		got := map[string]string{}
		for name, s := range load(t, file).Services {
			if slices.Contains(s.Profiles, "observe") {
				name = "" // without a fixed name, because a host may run another one
			}
			got[s.ContainerName] = name
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s has the containers %v, want %v", file, got, want)
		}
	}
}

// The example in README.md of a service that connects.
func TestTheExampleServiceOfTheREADMEJoinsTheKit(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, _ := strings.Cut(rest, "```\n")
	file := filepath.Join(t.TempDir(), "compose.yaml")
	write(t, file, []byte("name: example\n"+example), 0o600)
	service, kit := load(t, file), load(t, "compose.yaml")
	if name := service.Networks["infra-net"].Name; name != kit.Networks["infra-net"].Name {
		t.Errorf("it joins the network %q", name)
	}
	for _, addr := range []string{"REDIS_ADDR", "STATE_REDIS_ADDR"} {
		value := service.Services["gateway"].Environment[addr]
		host, port, _ := strings.Cut(*value, ":")
		if _, err := kit.GetService(host); err != nil || port != "6379" {
			t.Errorf("%s is %s: %v", addr, *value, err)
		}
	}
	if secret := service.Services["gateway"].Secrets[0].Source; secret != "redis_password" {
		t.Errorf("rediskit looks for the secret redis_password, not for %s", secret)
	}
}

func TestRedisIsProcessOne(t *testing.T) {
	t.Parallel()
	eachVariant(t, func(t *testing.T, p *types.Project) {
		for name, s := range p.Services {
			if !strings.HasPrefix(s.Image, "redis:7") {
				continue
			}
			// In exec form, without a secret, and with the entry point of the image.
			if want := []string{"redis-server", "/usr/local/etc/redis/redis.conf"}; !slices.Equal(s.Command, want) || s.Entrypoint != nil {
				t.Errorf("%s runs %q with entry point %q, want %q", name, s.Command, s.Entrypoint, want)
			}
			if s.StopGracePeriod == nil {
				t.Errorf("%s has no stop_grace_period, and so only 10 s to write its snapshot", name)
			}
		}
	})
}

// A config without its file is an error of Compose. A bind mount without its file would
// become an empty folder.
func TestEveryMountedFileIsInTheKit(t *testing.T) {
	t.Parallel()
	eachVariant(t, func(t *testing.T, p *types.Project) {
		for name, config := range p.Configs {
			info, err := os.Stat(config.File)
			if err != nil || !info.Mode().IsRegular() {
				t.Errorf("config %s: %v", name, err)
			} else if strings.Contains(config.File, "redis/redis-") && info.Mode()&0o111 != 0o111 {
				t.Errorf("%s cannot be executed by the container's user", config.File)
			}
		}
		for name, s := range p.Services {
			for _, mount := range s.Volumes {
				if mount.Type == types.VolumeTypeBind && (mount.Bind == nil || bool(mount.Bind.CreateHostPath) || !mount.ReadOnly) {
					t.Errorf("%s mounts %s so that Docker creates it if it is missing, or so that it can be written", name, mount.Target)
				}
			}
		}
	})
}

func TestTheDashboardNeedsNoClick(t *testing.T) {
	t.Parallel()
	grafana := load(t, "compose.yaml").Services["grafana"]
	for name, want := range map[string]string{
		"GF_AUTH_ANONYMOUS_ENABLED":  "true",
		"GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
	} {
		if got := grafana.Environment[name]; got == nil || *got != want {
			t.Errorf("%s is not %s", name, want)
		}
	}
	home := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if home == nil || !slices.ContainsFunc(grafana.Volumes, func(v types.ServiceVolumeConfig) bool {
		return strings.HasPrefix(*home, v.Target+"/")
	}) {
		t.Error("Grafana's first page is not a dashboard of the kit")
	}
}

// One exporter serves both instances. With REDIS_ADDR its /metrics would show one of
// them a second time.
func TestTheExporterReadsAMapOfPasswords(t *testing.T) {
	t.Parallel()
	eachVariant(t, func(t *testing.T, p *types.Project) {
		s := p.Services["redis-exporter"]
		for name, want := range map[string]string{
			"REDIS_ADDR": "", "REDIS_USER": "exporter", "REDIS_PASSWORD_FILE": "/run/secrets/exporter.json",
		} {
			if got := s.Environment[name]; got == nil || *got != want {
				t.Errorf("%s is not %q", name, want)
			}
		}
		if len(s.Secrets) != 1 || s.Secrets[0].Target != "/run/secrets/exporter.json" {
			t.Errorf("the exporter has the secrets %v", s.Secrets)
		}
	})
}
