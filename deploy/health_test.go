package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// The health check is the one in compose.yaml. redis-cli alone exits with 0 also when
// Redis answers with an error, such as NOAUTH, LOADING or a full client table.
func TestTheHealthCheckShowsWhetherRedisAnswers(t *testing.T) {
	t.Parallel()
	s := up(t, "compose.yaml")
	for service := range s.containers {
		if out, code := s.check(service); code != 0 {
			t.Errorf("%s, which is healthy, has exit code %d: %s", service, code, out)
		}
	}
	admin := s.client("redis-state", "admin")

	t.Run("a full memory is healthy", func(t *testing.T) {
		ok(t, admin.ConfigSet(t.Context(), "maxmemory", "1").Err())
		if err := admin.Set(t.Context(), "session:1", "v", 0).Err(); err == nil || !strings.HasPrefix(err.Error(), "OOM") {
			t.Fatalf("a write into a full memory: %v", err)
		}
		if out, code := s.check("redis-state"); code != 0 {
			t.Errorf("exit code %d: %s", code, out)
		}
		ok(t, admin.ConfigSet(t.Context(), "maxmemory", "128mb").Err())
	})
	t.Run("no free client slot", func(t *testing.T) {
		ok(t, admin.ConfigSet(t.Context(), "maxclients", "1").Err()) // which the client admin has
		if out, code := s.check("redis-state"); code == 0 {
			t.Errorf("exit code 0: %s", out)
		}
		ok(t, admin.ConfigSet(t.Context(), "maxclients", "1000").Err())
	})
	t.Run("without the user", func(t *testing.T) {
		ok(t, admin.Do(t.Context(), "ACL", "DELUSER", "health").Err())
		if out, code := s.check("redis-state"); code == 0 {
			t.Errorf("exit code 0: %s", out)
		}
		ok(t, admin.Do(t.Context(), "ACL", "LOAD").Err())
		if out, code := s.check("redis-state"); code != 0 {
			t.Errorf("the user is back, but the exit code is %d: %s", code, out)
		}
	})
	t.Run("paused", func(t *testing.T) {
		server := s.containers["redis-state"].server
		server.Pause()
		out, code := s.check("redis-state")
		server.Resume()
		if code == 0 {
			t.Errorf("exit code 0: %s", out)
		}
	})
	t.Run("loading", func(t *testing.T) {
		pipe := admin.Pipeline()
		for i := range 10_000 {
			pipe.Set(t.Context(), fmt.Sprint("session:", i), "v", 0)
		}
		_, err := pipe.Exec(t.Context())
		ok(t, err)
		c := s.containers["redis-state"]
		c.stop()
		conf := filepath.Join(c.server.Dir(), "usr/local/etc/redis/redis.conf")
		text, err := os.ReadFile(conf)
		if err != nil {
			t.Fatal(err)
		}
		slow := append(slices.Clone(text), "\nkey-load-delay 1000\nloading-process-events-interval-bytes 1024\n"...)
		if err := os.WriteFile(conf, slow, 0o600); err != nil {
			t.Fatal(err)
		}
		c.server.RestartNow()
		redistest.Eventually(t, func() bool {
			err := s.client("redis-state", "admin", func(o *redis.Options) { o.PoolSize = 1 }).Ping(t.Context()).Err()
			return err != nil && strings.HasPrefix(err.Error(), "LOADING")
		}, "the server loads its snapshot")
		if out, code := s.check("redis-state"); code == 0 {
			t.Errorf("exit code 0: %s", out)
		}
	})
	t.Run("down", func(t *testing.T) {
		s.containers["redis"].stop()
		if out, code := s.check("redis"); code == 0 {
			t.Errorf("exit code 0: %s", out)
		}
	})
}

// check runs the service's health check as the container engine does, and returns its
// output and its exit code. 0 is healthy.
func (s *stack) check(service string) (string, int) {
	s.t.Helper()
	test := s.containers[service].service.HealthCheck.Test
	if len(test) != 2 || test[0] != "CMD-SHELL" {
		s.t.Fatalf("the health check of %s is %q", service, test)
	}
	return s.in(service, "sh", "-c", test[1])
}
