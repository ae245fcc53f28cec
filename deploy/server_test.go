package deploy

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const snapshots = "300 10 60 1000"

var instances = map[string]struct {
	file, service string
	maxmemory     int64 // MiB
	policy, save  string
	limitTenths   int64 // of maxmemory, at least
}{
	"cache":  {"compose.yaml", "redis", 256, "allkeys-lru", "", 15},
	"state":  {"compose.yaml", "redis-state", 128, "noeviction", snapshots, 24},
	"single": {"compose.single.yaml", "redis", 256, "allkeys-lru", snapshots, 24},
}

func TestEachInstanceStartsWithItsSettings(t *testing.T) {
	t.Parallel()
	stacks := map[string]*stack{"compose.yaml": up(t, "compose.yaml"), "compose.single.yaml": up(t, "compose.single.yaml")}
	for name, want := range instances {
		s := stacks[want.file]
		c := s.containers[want.service]
		got, err := s.client(want.service, "admin").ConfigGet(t.Context(), "*").Result()
		if err != nil {
			t.Fatal(err)
		}
		for setting, want := range map[string]string{
			"maxmemory":                   strconv.FormatInt(want.maxmemory<<20, 10),
			"maxmemory-policy":            want.policy,
			"save":                        want.save,
			"appendonly":                  "no",
			"stop-writes-on-bgsave-error": "no",
			"rdbcompression":              "yes",
			"maxclients":                  "1000",
			"protected-mode":              "yes",
			"tcp-backlog":                 "511",
			"timeout":                     "0",
			"tcp-keepalive":               "300",
			"loglevel":                    "notice",
			"logfile":                     "",
		} {
			if got[setting] != want {
				t.Errorf("%s: %s is %q, want %q", name, setting, got[setting], want)
			}
		}
		// The kernel kills a Redis that exceeds the limit of its container. A snapshot needs
		// up to as much memory again, for the data that changes while it is written.
		if limit := int64(c.service.Deploy.Resources.Limits.MemoryBytes); limit*10 < want.limitTenths*(want.maxmemory<<20) {
			t.Errorf("%s: the container's %d bytes are less than %d tenths of maxmemory", name, limit, want.limitTenths)
		}
		for line := range strings.Lines(c.server.Log()) {
			// overcommit_memory is a setting of the host, which README.md explains.
			if strings.Contains(line, " # WARNING ") && !strings.Contains(line, "overcommit") {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
}

func TestAStopKeepsTheStateAndEmptiesTheCache(t *testing.T) {
	t.Parallel()
	s := up(t, "compose.yaml")
	for service, key := range map[string]string{"redis": "conversations:user_1:list", "redis-state": "session:abc123"} {
		if err := s.client(service, "admin").Set(t.Context(), key, "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	s.run("docker compose restart redis redis-state")
	for service, want := range map[string]int64{"redis": 0, "redis-state": 1} {
		if got := s.client(service, "admin").DBSize(t.Context()).Val(); got != want {
			t.Errorf("%s has %d keys after a stop, want %d", service, got, want)
		}
	}
}

// Only the operator may use dangerous commands. They keep their names.
func TestTheUsersAreThoseOfTheKit(t *testing.T) {
	t.Parallel()
	s := up(t, "compose.yaml")
	for service := range s.containers {
		got, err := s.client(service, "admin").Do(t.Context(), "ACL", "USERS").StringSlice()
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"admin", "default", "exporter", "health"}; !slices.Equal(got, want) {
			t.Errorf("%s: the users are %q, want %q", service, got, want)
		}
		stranger := s.client(service, "")
		for _, command := range []string{"PING", "INFO", "DBSIZE", "CONFIG GET maxmemory"} {
			if err := do(stranger, command); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
				t.Errorf("%s: %s without a password: %v", service, command, err)
			}
		}
	}
}

func do(rdb *redis.Client, command string) error {
	var args []any
	for word := range strings.FieldsSeq(command) {
		args = append(args, word)
	}
	return rdb.Do(context.Background(), args...).Err()
}
