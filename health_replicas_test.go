package rediskit_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
)

// node returns what the one node of rdb reports.
func node(t *testing.T, rdb redis.UniversalClient) rediskit.NodeHealth {
	t.Helper()
	health, err := rediskit.Check(t.Context(), rdb)
	if err != nil || len(health.Nodes) != 1 {
		t.Fatalf("%+v, %v", health, err)
	}
	return health.Nodes[0]
}

// startReplica starts a replica of primary and waits until it has all data.
func startReplica(t *testing.T, primary *redistest.Process) *redistest.Process {
	t.Helper()
	replica := redistest.Start(t, "--replicaof", fmt.Sprint(primary.Host(), " ", primary.Port()))
	rdb := primary.Client()
	redistest.Eventually(t, func() bool {
		return strings.Contains(rdb.Info(t.Context(), "replication").Val(), "state=online")
	}, "the replica follows")
	return replica
}

// replication is what a node says of it. A lag is below a minute or not.
func replication(h rediskit.NodeHealth) string {
	lag := func(r rediskit.Reported[time.Duration]) string {
		if d, ok := r.Get(); ok && d >= 0 && d < time.Minute {
			return "short"
		}
		return r.String()
	}
	return fmt.Sprint(h.Role, ", replicas ", h.Replicas, " lag ", lag(h.ReplicaLag), ", good ", h.GoodReplicas, " of ", h.MinReplicas,
		", primary ", h.PrimaryUp, " lag ", lag(h.PrimaryLag))
}

func TestCheckReportsReplication(t *testing.T) {
	t.Parallel()
	primary := redistest.Start(t)
	ofPrimary := connect(t, at(primary.Addr()))
	want := func(rdb redis.UniversalClient, want string) {
		t.Helper()
		if got := replication(node(t, rdb)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	want(ofPrimary, "master, replicas 0 lag unknown, good unknown of 0, primary unknown lag unknown")

	replica := startReplica(t, primary)
	cfg := at(replica.Addr())
	cfg.Replica = true
	ofReplica := connect(t, cfg)
	want(ofPrimary, "master, replicas 1 lag short, good unknown of 0, primary unknown lag unknown")
	want(ofReplica, "replica, replicas 0 lag unknown, good unknown of 0, primary true lag short")

	mustDo(t, ofPrimary, "config", "set", "min-replicas-to-write", "2")
	want(ofPrimary, "master, replicas 1 lag short, good 1 of 2, primary unknown lag unknown")
	mustDo(t, ofPrimary, "config", "set", "min-replicas-max-lag", "0")
	want(ofPrimary, "master, replicas 1 lag short, good unknown of 0, primary unknown lag unknown")
	mustDo(t, ofPrimary, "config", "set", "min-replicas-max-lag", "10")

	encoded, err := json.Marshal(node(t, ofPrimary))
	if err != nil || !strings.Contains(string(encoded), `"min_replicas":2,"good_replicas":1,"primary_up":null,"primary_lag_ns":null`) {
		t.Errorf("%s, %v", encoded, err)
	}

	replica.Kill()
	redistest.Eventually(t, func() bool {
		return replication(node(t, ofPrimary)) == "master, replicas 0 lag unknown, good 0 of 2, primary unknown lag unknown"
	}, "the primary has lost its replica")
	replica.Restart()
	redistest.Eventually(t, func() bool { return node(t, ofReplica).PrimaryUp.String() == "true" }, "the replica follows again")
	primary.Kill()
	redistest.Eventually(t, func() bool {
		return replication(node(t, ofReplica)) == "replica, replicas 0 lag unknown, good unknown of 0, primary false lag short"
	}, "the replica has lost its primary")
}

// A user that may not read settings does not know the number, and is denied nothing:
// denials are what an operator looks at.
func TestCheckIsDeniedNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--min-replicas-to-write", "2")
	admin := server.Client()
	mustDo(t, admin, "acl", "setuser", "app", "on", ">"+canary, "~*", "+@all", "-@dangerous", "+info")
	cfg := at(server.Addr())
	cfg.Username, cfg.Password = "app", static(canary)
	rdb := connect(t, cfg)
	trips := redistest.Trips(rdb)
	if h := node(t, rdb); h.MinReplicas.String() != "unknown" || h.GoodReplicas.String() != "0" {
		t.Errorf("%+v", h)
	}
	if n := trips.Take(); n != 3 {
		t.Errorf("%d round trips without the grant", n)
	}
	mustDo(t, admin, "acl", "setuser", "app", "+config|get")
	if h := node(t, rdb); h.MinReplicas.String() != "2" {
		t.Errorf("%+v", h)
	}
	if n := trips.Take(); n != 4 {
		t.Errorf("%d round trips with the grant", n)
	}
	log, err := admin.Do(t.Context(), "acl", "log").Slice()
	if errors := admin.Info(t.Context(), "errorstats").Val(); err != nil || len(log) > 0 || strings.Contains(errors, "NOPERM") {
		t.Errorf("denied: %v, %v, %s", log, err, errors)
	}
}

func TestANumberOfAWrongShapeIsUnknown(t *testing.T) {
	t.Parallel()
	const good = "*2\r\n$21\r\nmin-replicas-to-write\r\n$1\r\n2\r\n"
	for name, test := range map[string]struct{ may, setting, want string }{
		"right":        {":1\r\n", good, "2"},
		"not allowed":  {":0\r\n", good, "unknown"},
		"no scripts":   {"-ERR unknown command 'eval'\r\n", good, "unknown"},
		"may is nil":   {"$-1\r\n", good, "unknown"},
		"no CONFIG":    {":1\r\n", "-ERR unknown command 'config'\r\n", "unknown"},
		"nil":          {":1\r\n", "*-1\r\n", "unknown"},
		"nothing":      {":1\r\n", "*0\r\n", "unknown"},
		"odd":          {":1\r\n", "*1\r\n$21\r\nmin-replicas-to-write\r\n", "unknown"},
		"text":         {":1\r\n", "$1\r\n2\r\n", "unknown"},
		"a map of nil": {":1\r\n", "*2\r\n$21\r\nmin-replicas-to-write\r\n$-1\r\n", "unknown"},
		"words":        {":1\r\n", "*2\r\n$21\r\nmin-replicas-to-write\r\n$3\r\ntwo\r\n", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Mini(t)
			s.Mini().Server().SetPreHook(func(p *server.Peer, name string, _ ...string) bool {
				switch name {
				case "INFO":
					p.WriteBulk("connected_slaves:0\r\nmin_slaves_good_slaves:0\r\n")
				case "EVAL":
					p.WriteRaw(test.may)
				case "CONFIG":
					p.WriteRaw(test.setting)
				default:
					return false
				}
				return true
			})
			if got := node(t, connect(t, at(s.Addr()))).MinReplicas.String(); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
