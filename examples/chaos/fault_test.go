package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/wall"
)

// A fault is something that breaks servers or the network.
type fault struct {
	name     string
	topology func(t testing.TB) *topology

	// inject causes the fault, for about duration, and returns when it has ended.
	inject func(rd *round, duration time.Duration)

	loses    bool          // Redis may lose what it has confirmed
	rewinds  bool          // what may be lost with it is the time too: the next server's clock is behind
	settles  time.Duration // how long after the fault a client may still use a server that does not count
	duration time.Duration // zero for a random duration
	slow     bool          // only a full run injects it
}

var faults = slices.Concat(serverFaults, partitions, moves, clockFaults, suspensions)

var serverFaults = []fault{
	{name: "none", topology: plain(), inject: func(_ *round, duration time.Duration) { time.Sleep(duration) }},
	{name: "kill -9, restart", topology: plain(), inject: killServer, loses: true},
	{name: "kill -9, restart from RDB", topology: plain("--save", "1 1"), inject: killServer, loses: true},
	{name: "server paused for 3 s", topology: plain(), inject: pauseServer, duration: 3 * time.Second},
	{name: "server paused for 30 s", topology: plain(), inject: pauseServer, duration: 30 * time.Second, slow: true},
	{name: "CLIENT KILL of all", topology: plain(), inject: killClients},
	{name: "maxclients reached", topology: plain(), inject: fewClients},
	{name: "out of memory, noeviction", topology: plain("--maxmemory-policy", "noeviction"), inject: outOfMemory},
	{name: "eviction, allkeys-lru", topology: plain("--maxmemory-policy", "allkeys-lru"), inject: evict, loses: true},
	{name: "MISCONF", topology: plain("--save", "3600 1"), inject: failToSave},
	{name: "SCRIPT FLUSH", topology: plain(), inject: again(flushScripts)},
	{name: "password rotated", topology: plain(), inject: rotatePassword},
	{name: "TLS certificate rotated", topology: withTLS, inject: rotateCertificate},
	{name: "latency 50 ms", topology: plain(), inject: delay(50 * time.Millisecond)},
	{name: "latency 2 s", topology: plain(), inject: delay(2 * time.Second)},
	{name: "connections cut", topology: plain(), inject: again(cutAll)},
	{name: "refused", topology: plain(), inject: networks((*redistest.Proxy).Down, (*redistest.Proxy).Up)},
	// What the proxy held back is delivered at the end.
	{name: "black hole", topology: plain(), inject: networks((*redistest.Proxy).BlackHole, (*redistest.Proxy).Heal)},
	{name: "half-open for 3 s", topology: plain(), inject: halfOpen, duration: 3 * time.Second}, // longer than maxCopyAge
	{name: "replies lost", topology: plain(), inject: again(loseReplies)},
	{name: "replies late", topology: plain(), inject: again(lateReplies)},
	{name: "clocks of the clients set", topology: plain(), inject: setClocks},
	{name: "slow subscriber cut off", topology: plain("--client-output-buffer-limit", "pubsub 64kb 64kb 1"), inject: overrun},
	{name: "Sentinel failover, primary killed", topology: sentinels, inject: failOver, loses: true},
	{name: "Cluster: primary killed, replica promoted", topology: clusterWithReplicas, inject: promote, loses: true},
	{name: "Cluster: slots moved", topology: cluster, inject: moveSlots},
}

// again injects a fault every 30 ms, until duration is over.
func again(inject func(rd *round)) func(rd *round, duration time.Duration) {
	return func(rd *round, duration time.Duration) {
		for until := time.Now().Add(duration); time.Now().Before(until); {
			inject(rd)
			time.Sleep(30 * time.Millisecond)
		}
	}
}

func killServer(rd *round, duration time.Duration) {
	rd.topology.server.Kill()
	time.Sleep(duration)
	rd.topology.server.Restart()
}

func pauseServer(rd *round, duration time.Duration) {
	rd.topology.server.Pause()
	time.Sleep(duration)
	rd.topology.server.Resume()
}

func killClients(rd *round, duration time.Duration) {
	for until := time.Now().Add(duration); time.Now().Before(until); {
		for _, kind := range []string{"normal", "pubsub"} {
			rd.topology.run(rd.topology.server, "client", "kill", "type", kind, "skipme", "yes")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// fewClients allows only a few connections.
func fewClients(rd *round, duration time.Duration) {
	rdb := rd.topology.admin(rd.topology.server)
	defer rdb.Close()
	ctx := context.Background()
	must(rd, rdb.ConfigSet(ctx, "maxclients", "4").Err())
	for _, kind := range []string{"normal", "pubsub"} {
		must(rd, rdb.Do(ctx, "client", "kill", "type", kind, "skipme", "yes").Err())
	}
	time.Sleep(duration)
	redistest.Eventually(rd.t, func() bool { // the admin's own connection may have been refused
		return rdb.ConfigSet(ctx, "maxclients", "10000").Err() == nil
	}, "the server accepts clients again")
}

func outOfMemory(rd *round, duration time.Duration) {
	rd.topology.run(rd.topology.server, "config", "set", "maxmemory", "1mb")
	time.Sleep(duration)
	rd.topology.run(rd.topology.server, "config", "set", "maxmemory", "0")
}

// evict fills the memory with keys that have a TTL of a minute.
func evict(rd *round, duration time.Duration) {
	ctx := context.Background()
	rdb := rd.topology.admin(rd.topology.server)
	defer rdb.Close()
	must(rd, rdb.ConfigSet(ctx, "maxmemory", "4mb").Err())
	for until, n := time.Now().Add(duration), 0; time.Now().Before(until); n++ {
		pipe := rdb.Pipeline()
		for i := range 20 {
			pipe.Set(ctx, fmt.Sprint("filler:", n%50, ":", i), strings.Repeat("x", 10_000), time.Minute)
		}
		_, _ = pipe.Exec(ctx)
	}
	must(rd, rdb.ConfigSet(ctx, "maxmemory", "0").Err())
}

// failToSave puts a directory in the place of the dump file, so that Redis refuses
// writes until it can save again.
func failToSave(rd *round, duration time.Duration) {
	ctx := context.Background()
	rdb := rd.topology.admin(rd.topology.server)
	defer rdb.Close()
	dump := filepath.Join(rd.topology.server.Dir(), "dump.rdb")
	_ = os.Remove(dump)
	must(rd, os.Mkdir(dump, 0o700))
	saved := func(status string) {
		redistest.Eventually(rd.t, func() bool {
			_ = rdb.BgSave(ctx).Err()
			return strings.Contains(rdb.Info(ctx, "persistence").Val(), "rdb_last_bgsave_status:"+status)
		}, "a save ends with "+status)
	}
	saved("err")
	time.Sleep(duration)
	must(rd, os.Remove(dump))
	saved("ok")
}

func flushScripts(rd *round) { rd.topology.run(rd.topology.server, "script", "flush") }

// rotatePassword rotates the password as the documentation describes.
func rotatePassword(rd *round, duration time.Duration) {
	s := rd.topology
	s.run(s.server, "acl", "setuser", "default", ">second")
	must(rd, os.WriteFile(s.password, []byte("second"), 0o600))
	time.Sleep(duration)
	s.run(s.server, "acl", "setuser", "default", "<"+firstPassword)
	cutAll(rd)
}

func rotateCertificate(rd *round, duration time.Duration) {
	s := rd.topology
	next := s.certs[1]
	s.run(s.server, "config", "set", "tls-cert-file", next.ServerCert, "tls-key-file", next.ServerKey, "tls-ca-cert-file", next.CA)
	time.Sleep(duration)
	cutAll(rd)
}

// networks breaks the network of every member, and repairs it after duration.
func networks(breaks, repairs func(*redistest.Proxy)) func(rd *round, duration time.Duration) {
	return func(rd *round, duration time.Duration) {
		for _, m := range rd.members {
			breaks(m.proxy)
		}
		time.Sleep(duration)
		for _, m := range rd.members {
			repairs(m.proxy)
		}
	}
}

func delay(d time.Duration) func(rd *round, duration time.Duration) {
	inject := networks(func(p *redistest.Proxy) { p.Delay(d) }, (*redistest.Proxy).Heal)
	return func(rd *round, duration time.Duration) { inject(rd, duration+d/2) }
}

func cutAll(rd *round) {
	for _, m := range rd.members {
		m.proxy.Cut()
	}
}

// halfOpen breaks the network of one member, which notices that only at the end.
func halfOpen(rd *round, duration time.Duration) {
	m := rd.members[0]
	m.proxy.BlackHole()
	time.Sleep(duration)
	m.proxy.Cut()
	m.proxy.Heal()
}

// setClocks sets the wall clock forward and back, by a little and by an hour, as a time
// service may.
func setClocks(_ *round, duration time.Duration) {
	defer wall.SetAhead(0)
	for until, i := time.Now().Add(duration), 0; time.Now().Before(until); i++ {
		wall.SetAhead([]time.Duration{time.Hour, -time.Hour, 300 * time.Millisecond, -300 * time.Millisecond}[i%4])
		time.Sleep(30 * time.Millisecond)
	}
}

func loseReplies(rd *round) {
	for _, m := range rd.members {
		for _, command := range []string{"evalsha", "get", "unlink"} {
			m.proxy.DropReply(command)
		}
	}
}

func lateReplies(rd *round) {
	for _, m := range rd.members {
		m.proxy.DelayReply("evalsha", 700*time.Millisecond)
	}
}

// overrun publishes more than the server buffers for a subscriber that does not read.
func overrun(rd *round, duration time.Duration) {
	ctx := context.Background()
	rdb := rd.topology.admin(rd.topology.server)
	defer rdb.Close()
	rd.members[0].proxy.BlackHole()
	for until := time.Now().Add(duration); time.Now().Before(until); {
		must(rd, rdb.Publish(ctx, ticks, `{"From":"`+strings.Repeat("x", 1<<20)+`"}`).Err())
		time.Sleep(20 * time.Millisecond)
	}
	rd.members[0].proxy.Heal()
}

func failOver(rd *round, duration time.Duration) {
	s := rd.topology.sentinel
	old := s.Master()
	old.Kill()
	time.Sleep(duration)
	redistest.Eventually(rd.t, func() bool { return s.Master() != old }, "a replica is promoted")
	redistest.Eventually(rd.t, func() bool { return isPrimary(rd.topology, s.Master()) }, "the promoted replica is a primary")
}

// promote kills a primary of a Cluster; its replica takes over by itself.
func promote(rd *round, duration time.Duration) {
	s := rd.topology
	s.cluster.Nodes()[0].Kill()
	time.Sleep(duration)
	rdb := s.admin(s.replicas[0])
	defer rdb.Close()
	redistest.Eventually(rd.t, func() bool {
		role, err := rdb.Do(context.Background(), "role").Slice()
		return err == nil && role[0] == "master" &&
			strings.Contains(rdb.ClusterInfo(context.Background()).Val(), "cluster_state:ok")
	}, "the replica is promoted")
}

// moveSlots moves all slots with keys from one primary to another, and back, until
// duration is over.
func moveSlots(rd *round, duration time.Duration) {
	nodes := rd.topology.cluster.Nodes()
	owner := keys.Slot(ticks) * len(nodes) / keys.Slots
	from, to := nodes[owner], nodes[(owner+1)%len(nodes)]
	until := time.Now().Add(duration)
	// The events have no key in their slot. It moves once: a Hub does not notice a slot that
	// is back at once.
	rdb, key := rd.topology.cluster.Client(), keys.Sibling("moves", ticks)
	must(rd, rdb.Set(context.Background(), key, "", time.Minute).Err())
	rd.topology.cluster.MoveBusySlots(from, to)
	must(rd, rdb.Del(context.Background(), key).Err())
	rdb.Close()
	for from, to = to, from; time.Now().Before(until); from, to = to, from {
		rd.topology.cluster.MoveBusySlots(from, to)
	}
}

func must(rd *round, err error) {
	rd.t.Helper()
	if err != nil && err != redis.Nil {
		rd.t.Fatal(err)
	}
}
