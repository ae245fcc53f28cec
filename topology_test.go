package rediskit_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/secrets"
)

func TestSentinelFailoverIsFollowed(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t, func(o *redistest.SentinelOptions) { o.Password = canary })
	cfg := rediskit.Config{Addrs: sentinel.Addrs(), MasterName: sentinel.MasterName(), Password: static(canary)}
	rdb := connect(t, cfg)
	if err := rdb.Set(t.Context(), "before", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	old := sentinel.Master()
	replica := sentinel.Client(sentinel.Replicas()[0])
	redistest.Eventually(t, func() bool { return replica.Get(t.Context(), "before").Val() == "v" }, "the replica has it")
	old.Kill()

	start, refused := time.Now(), 0
	redistest.Eventually(t, func() bool {
		err := rdb.Set(t.Context(), "after", "v", 0).Err()
		if errors.Is(err, rediskit.ErrUnavailable) {
			refused++
		}
		return err == nil
	}, "a write succeeds on the new primary")
	t.Logf("written to the new primary %v after the old one was killed; %d calls refused meanwhile", time.Since(start).Round(time.Millisecond), refused)
	if refused == 0 {
		t.Error("no call was refused while there was no primary")
	}
	if got := rdb.Get(t.Context(), "before").Val(); got != "v" {
		t.Errorf("the new primary has %q", got)
	}
}

func TestConnectSaysWhatIsWrongWithSentinels(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	for name, test := range map[string]struct {
		cfg  rediskit.Config
		want string
	}{
		"unknown primary": {rediskit.Config{Addrs: sentinel.Addrs(), MasterName: "nobody"}, "no Sentinel knows Config.MasterName"},
		"as a server":     {rediskit.Config{Addrs: sentinel.Addrs()[:1]}, "set Config.MasterName"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := rediskit.Connect(within(t), test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestTheDocumentedGrantsSufficeAtTheSentinels(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	for _, watcher := range sentinel.Watchers() {
		mustDo(t, watcher.Client(), "acl", "setuser", "app", "on", ">"+canary, "&*", "+@connection", "-@dangerous",
			"+sentinel|get-master-addr-by-name", "+sentinel|master", "+sentinel|sentinels", "+sentinel|myid")
	}
	var reported redistest.Recorder
	rdb := connect(t, rediskit.Config{
		Addrs: sentinel.Addrs(), MasterName: sentinel.MasterName(), Password: secrets.None(),
		SentinelUsername: "app", SentinelPassword: static(canary), OnError: reported.OnError,
	})
	old := sentinel.Master()
	old.Kill()
	redistest.Eventually(t, func() bool { return rdb.Set(t.Context(), "k", "v", time.Minute).Err() == nil }, "the new primary is found")
	for _, err := range reported.All() {
		if redis.IsPermissionError(err) {
			t.Error(err)
		}
	}
	for _, watcher := range sentinel.Watchers() {
		if denied := watcher.Client().Do(t.Context(), "acl", "log").Val(); len(denied.([]any)) > 0 {
			t.Errorf("a Sentinel denied %v", denied)
		}
	}
}

func TestSentinelsHaveTheirOwnPassword(t *testing.T) {
	t.Parallel()
	sentinel := redistest.StartSentinel(t)
	for _, watcher := range sentinel.Watchers() {
		mustDo(t, watcher.Client(), "acl", "setuser", "default", ">"+canary)
	}
	cfg := rediskit.Config{Addrs: sentinel.Addrs(), MasterName: sentinel.MasterName(), SentinelPassword: static(canary)}
	connect(t, cfg)

	for _, wrong := range []secrets.Source{nil, static("wrong")} {
		cfg.SentinelPassword = wrong
		_, err := rediskit.Connect(within(t), cfg)
		if !redis.IsAuthError(err) || !strings.Contains(err.Error(), "set Config.SentinelPassword") && !strings.Contains(err.Error(), "and Config.SentinelPassword") {
			t.Errorf("got %v", err)
		}
	}
}

func TestConnectToAClusterBySeedAndByList(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	for name, cfg := range map[string]rediskit.Config{
		"seed": {Addrs: cluster.Addrs()[:1], Cluster: true},
		"list": {Addrs: cluster.Addrs()},
	} {
		rdb := connect(t, cfg)
		if _, ok := rdb.(*redis.ClusterClient); !ok {
			t.Fatalf("%s: a %T", name, rdb)
		}
		for i := range 30 {
			if err := rdb.Set(t.Context(), fmt.Sprint("k", i), "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		health, err := rediskit.Check(t.Context(), rdb)
		if err != nil || len(health.Nodes) != 3 {
			t.Fatalf("%s: %d nodes, %v", name, len(health.Nodes), err)
		}
		for _, node := range health.Nodes {
			if node.Mode.String() != "cluster" || node.Role.String() != "master" {
				t.Errorf("%s: %+v", name, node)
			}
		}
	}
}

func TestACallToASilentNodeOfAClusterIsTriedFourTimesAtMost(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	rdb := connect(t, rediskit.Config{Addrs: cluster.Addrs(), ReadTimeout: 50 * time.Millisecond}).(*redis.ClusterClient)
	silent := cluster.Nodes()[0]
	var key string
	for i := 0; ; i++ {
		key = fmt.Sprint("k", i)
		if node, err := rdb.MasterForKey(t.Context(), key); err != nil {
			t.Fatal(err)
		} else if node.Options().Addr == silent.Addr() {
			break
		}
	}
	tries := 0
	node, err := rdb.MasterForKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	node.AddHook(redistest.Commands(func(next func() error, names ...string) error {
		if names[0] == "get" {
			tries++
		}
		return next()
	}))
	silent.Pause()
	defer silent.Resume()
	if err := rdb.Get(t.Context(), key).Err(); err == nil || tries < 1 || tries > 4 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

func TestCallsToADeadClusterNodeAreRefusedAndOtherNodesAnswer(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, "--cluster-require-full-coverage", "no")
	rdb := connect(t, rediskit.Config{Addrs: cluster.Addrs()})
	dead := cluster.Nodes()[0]
	key := func(i int) string { return fmt.Sprint("k", i) }
	onDead := map[string]bool{}
	for i := range 60 {
		node, err := rdb.(*redis.ClusterClient).MasterForKey(t.Context(), key(i))
		if err != nil {
			t.Fatal(err)
		}
		onDead[key(i)] = node.Options().Addr == dead.Addr()
	}
	dead.Kill()

	refused, answered := 0, 0
	for round := range 5 {
		for k, isDead := range onDead {
			err := rdb.Get(t.Context(), k).Err()
			switch {
			case errors.Is(err, rediskit.ErrUnavailable) && isDead:
				refused++
			case err == redis.Nil && !isDead:
				answered++
			case err == nil, !isDead, round == 4:
				t.Errorf("round %d, key on the dead node %v: %v", round, isDead, err)
			}
		}
	}
	if refused == 0 || answered == 0 {
		t.Errorf("%d refused, %d answered", refused, answered)
	}
	health, err := rediskit.Check(t.Context(), rdb)
	if err == nil || len(health.Nodes) != 2 {
		t.Errorf("Check: %d nodes, %v", len(health.Nodes), err)
	}

	dead.Restart()
	redistest.Eventually(t, func() bool {
		for k := range onDead {
			if rdb.Get(t.Context(), k).Err() != redis.Nil {
				return false
			}
		}
		return true
	}, "every key is answered again")
}

func TestTheDocumentedGrantsSufficeOnACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	for _, node := range cluster.Nodes() {
		mustDo(t, node.Client(), "acl", "setuser", "app", "on", ">"+canary, "~*", "+get",
			"+@connection", "-@dangerous", "+info", "+cluster|slots", "+command")
	}
	var reported redistest.Recorder
	rdb := connect(t, rediskit.Config{
		Addrs: cluster.Addrs(), Username: "app", Password: static(canary), NoEviction: true, OnError: reported.OnError,
	})
	for i := range 100 { // dial every node
		if err := rdb.Get(t.Context(), fmt.Sprint("k", i)).Err(); err != redis.Nil {
			t.Fatal(err)
		}
	}
	asked := 0 // how often go-redis asked for the table of commands
	for _, node := range cluster.Nodes() {
		stats := node.Client().InfoMap(t.Context(), "commandstats").Item("Commandstats", "cmdstat_command")
		if calls, _, ok := strings.Cut(strings.TrimPrefix(stats, "calls="), ","); ok {
			n, err := strconv.Atoi(calls)
			if err != nil {
				t.Fatal(err)
			}
			asked += n
		}
	}
	if asked != 1 {
		t.Errorf("COMMAND was sent %d times for 100 GETs, want once", asked)
	}
	redistest.Eventually(t, func() bool {
		return slices.ContainsFunc(reported.All(), func(err error) bool { return strings.Contains(err.Error(), "grant +cluster|nodes") })
	}, "OnError says what is missing")
}

// Nodes that tell no host are reached at the host that was asked.
func TestAClusterThatTellsNoHostsWorks(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"unknown-endpoint", "hostname"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			cluster := redistest.StartCluster(t, 3, "--cluster-preferred-endpoint-type", kind)
			_, port, _ := net.SplitHostPort(cluster.Addrs()[0])
			// The name shows that the host that was asked is taken.
			cfg := at(net.JoinHostPort("localhost", port))
			cfg.Cluster = true
			rdb := connect(t, cfg).(*redis.ClusterClient)
			for i := range 30 {
				key := fmt.Sprint("k", i)
				mustDo(t, rdb, "set", key, "v")
				if v, err := rdb.Get(t.Context(), key).Result(); v != "v" || err != nil {
					t.Fatalf("%q, %v", v, err)
				}
			}
			err := rdb.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
				if host, _, _ := net.SplitHostPort(node.Options().Addr); kind == "unknown-endpoint" && host != "localhost" {
					t.Errorf("a node has the address %s", node.Options().Addr)
				}
				return node.Ping(ctx).Err()
			})
			if err != nil {
				t.Error(err)
			}

			// A redirection has no host either.
			cluster.MoveBusySlots(cluster.Nodes()[0], cluster.Nodes()[1])
			for i := range 30 {
				if v, err := rdb.Get(t.Context(), fmt.Sprint("k", i)).Result(); v != "v" || err != nil {
					t.Errorf("after slots have moved: %q, %v", v, err)
				}
			}

			// go-redis knows a node by that redirection now. The map does not get its name.
			for range 3 {
				rdb.ReloadState(t.Context())
				time.Sleep(250 * time.Millisecond) // an answer serves for 100 ms
				slots, err := rdb.ClusterSlots(t.Context()).Result()
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range slots {
					if host, _, _ := net.SplitHostPort(r.Nodes[0].Addr); host == "" || host == "?" {
						t.Fatalf("slot %d is at %q", r.Start, r.Nodes[0].Addr)
					}
				}
			}
		})
	}
}

func TestConnectWaitsForTheSlotsOfACluster(t *testing.T) {
	t.Parallel()
	node := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1")
	cfg, errs := at(node.Addr()), &errorLog{}
	cfg.Cluster, cfg.OnError = true, errs.onError
	connected := redistest.Async(func() (redis.UniversalClient, error) { return rediskit.Connect(within(t), cfg) })
	redistest.Eventually(t, func() bool { return strings.Contains(fmt.Sprint(errs.all()), "no node of the Cluster has slots yet") }, "Connect says what it waits for")
	mustDo(t, node.Client(), "cluster", "addslotsrange", 0, 16383)
	r := <-connected
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	defer r.Value.Close()
	redistest.Eventually(t, func() bool { return r.Value.Get(t.Context(), "k").Err() == redis.Nil }, "a call is answered")
}
