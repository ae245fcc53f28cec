package rediskit_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestCheckReturnsWhatTheServerReports(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru", "--maxclients", "100")
	for _, protocol := range []int{2, 3} {
		cfg := at(server.Addr())
		cfg.Tune = func(o *redis.UniversalOptions) { o.Protocol = protocol }
		health, err := rediskit.Check(t.Context(), connect(t, cfg))
		if err != nil || len(health.Nodes) != 1 {
			t.Fatalf("%v, %v", health, err)
		}
		node := health.Nodes[0]
		if node.Addr != server.Addr() || node.Role.String() != "master" || node.Mode.String() != "standalone" ||
			!strings.Contains(node.Version.String(), ".") || node.MemoryMax.String() != "268435456" ||
			node.EvictionPolicy.String() != "allkeys-lru" || node.MaxClients.String() != "100" || node.LastSaveOK.String() != "true" {
			t.Errorf("RESP%d: %+v", protocol, node)
		}
		if used, ok := node.MemoryUsed.Get(); !ok || used <= 0 {
			t.Errorf("memory used: %v", node.MemoryUsed)
		}
		if clients, ok := node.Clients.Get(); !ok || clients < 1 {
			t.Errorf("clients: %v", node.Clients)
		}
		if saved, ok := node.LastSave.Get(); !ok || time.Since(saved) > time.Hour {
			t.Errorf("last save: %v", node.LastSave)
		}
		if node.Latency <= 0 {
			t.Errorf("latency: %v", node.Latency)
		}
	}
}

func TestCheckReturnsUnknownForWhatTheServerDoesNotReport(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	mustDo(t, server.Client(), "acl", "setuser", "app", "on", ">"+canary, "~*", "+@all", "-@dangerous")
	app := at(server.Addr())
	app.Username, app.Password = "app", static(canary)
	for name, test := range map[string]struct {
		cfg  rediskit.Config
		role string
	}{
		"miniredis":   {at(redistest.Mini(t).Addr()), "unknown"},
		"-@dangerous": {app, "master"},
	} {
		health, err := rediskit.Check(t.Context(), connect(t, test.cfg))
		if err != nil || len(health.Nodes) != 1 {
			t.Fatalf("%s: %v, %v", name, health, err)
		}
		node := health.Nodes[0]
		if node.EvictionPolicy.String() != "unknown" || node.MemoryMax.String() != "unknown" || node.Role.String() != test.role {
			t.Errorf("%s: %+v", name, node)
		}
		encoded, err := json.Marshal(node)
		if err != nil || !strings.Contains(string(encoded), `"eviction_policy":null`) {
			t.Errorf("%s: %s, %v", name, encoded, err)
		}
	}
}

func TestCheckTakesTwoRoundTrips(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := connect(t, at(s.Addr()))
		trips := redistest.Trips(rdb)
		if _, err := rediskit.Check(t.Context(), rdb); err != nil {
			t.Fatal(err)
		}
		if n := trips.Take(); n != 2 {
			t.Errorf("%d round trips", n)
		}
	})
}

func TestCheckSucceedsAfterItsConnectionWasClosed(t *testing.T) {
	t.Parallel()
	proxy := redistest.StartProxy(t, redistest.Start(t).Addr())
	rdb := connect(t, at(proxy.Addr()))
	proxy.DropReply("info")
	health, err := rediskit.Check(t.Context(), rdb)
	if err != nil || health.Nodes[0].EvictionPolicy.String() == "unknown" {
		t.Errorf("%+v, %v", health, err)
	}
}

func TestCheckReportsAReplica(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	cfg := at(sentinel.Replicas()[0].Addr())
	cfg.Replica = true
	health, err := rediskit.Check(t.Context(), connect(t, cfg))
	if err != nil || health.Nodes[0].Role.String() != "replica" {
		t.Errorf("%+v, %v", health, err)
	}
}

func TestCheckFailsAtOnceThroughAnOpenBreaker(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	rdb := connect(t, at(server.Addr()))
	server.Kill()
	redistest.Eventually(t, func() bool {
		return errors.Is(rdb.Ping(t.Context()).Err(), rediskit.ErrUnavailable)
	}, "the breaker is open")
	if _, err := rediskit.Check(t.Context(), rdb); !errors.Is(err, rediskit.ErrUnavailable) || !strings.Contains(err.Error(), server.Addr()) {
		t.Errorf("got %v", err)
	}
}

func TestCheckRefusesARing(t *testing.T) {
	t.Parallel()
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	defer ring.Close()
	if _, err := rediskit.Check(t.Context(), ring); err == nil || !strings.Contains(err.Error(), "Ring") {
		t.Errorf("got %v", err)
	}
}
