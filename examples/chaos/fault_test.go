package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/wall"
)

// A fault is something that happens to servers or the network.
type fault struct {
	name  string
	stage func(t testing.TB) *stage

	// strike lets it happen, for about hold, and returns when it is over.
	strike func(w *world, hold time.Duration)

	loses bool          // what Redis has confirmed may be gone
	hold  time.Duration // fixed; else random
	slow  bool          // only make chaos plays it
}

var faults = []fault{
	{name: "none", stage: plain(), strike: func(_ *world, hold time.Duration) { time.Sleep(hold) }},
	{name: "kill -9, restart", stage: plain(), strike: killServer, loses: true},
	{name: "kill -9, restart from RDB", stage: plain("--save", "1 1"), strike: killServer, loses: true},
	{name: "server paused for 3 s", stage: plain(), strike: pauseServer, hold: 3 * time.Second},
	{name: "server paused for 30 s", stage: plain(), strike: pauseServer, hold: 30 * time.Second, slow: true},
	{name: "CLIENT KILL of all", stage: plain(), strike: killClients},
	{name: "maxclients reached", stage: plain(), strike: fewClients},
	{name: "out of memory, noeviction", stage: plain("--maxmemory-policy", "noeviction"), strike: outOfMemory},
	{name: "eviction, allkeys-lru", stage: plain("--maxmemory-policy", "allkeys-lru"), strike: evict, loses: true},
	{name: "MISCONF", stage: plain("--save", "3600 1"), strike: failToSave},
	{name: "SCRIPT FLUSH", stage: plain(), strike: again(flushScripts)},
	{name: "password rotated", stage: plain(), strike: rotatePassword},
	{name: "TLS certificate rotated", stage: withTLS, strike: rotateCertificate},
	{name: "latency 50 ms", stage: plain(), strike: delay(50 * time.Millisecond)},
	{name: "latency 2 s", stage: plain(), strike: delay(2 * time.Second)},
	{name: "connections cut", stage: plain(), strike: again(cutAll)},
	{name: "refused", stage: plain(), strike: networks((*redistest.Proxy).Down, (*redistest.Proxy).Up)},
	// What was held back is delivered in the end.
	{name: "black hole", stage: plain(), strike: networks((*redistest.Proxy).BlackHole, (*redistest.Proxy).Heal)},
	{name: "half-open for 3 s", stage: plain(), strike: halfOpen, hold: 3 * time.Second}, // for longer than a near copy may go untold
	{name: "replies lost", stage: plain(), strike: again(loseReplies)},
	{name: "replies late", stage: plain(), strike: again(lateReplies)},
	{name: "clocks of the clients set", stage: plain(), strike: setClocks},
	{name: "slow subscriber cut off", stage: plain("--client-output-buffer-limit", "pubsub 64kb 64kb 1"), strike: overrun},
	{name: "Sentinel failover, master killed", stage: sentinels, strike: failOver, loses: true},
	{name: "Cluster: master killed, replica promoted", stage: clusterWithReplicas, strike: promote, loses: true},
	{name: "Cluster: slots moved", stage: cluster, strike: moveSlots},
}

// again strikes every 30 ms.
func again(strike func(w *world)) func(w *world, hold time.Duration) {
	return func(w *world, hold time.Duration) {
		for until := time.Now().Add(hold); time.Now().Before(until); {
			strike(w)
			time.Sleep(30 * time.Millisecond)
		}
	}
}

func killServer(w *world, hold time.Duration) {
	w.stage.server.Kill()
	time.Sleep(hold)
	w.stage.server.Restart()
}

func pauseServer(w *world, hold time.Duration) {
	w.stage.server.Pause()
	time.Sleep(hold)
	w.stage.server.Resume()
}

func killClients(w *world, hold time.Duration) {
	for until := time.Now().Add(hold); time.Now().Before(until); {
		for _, kind := range []string{"normal", "pubsub"} {
			w.stage.run(w.stage.server, "client", "kill", "type", kind, "skipme", "yes")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// fewClients leaves room for a few connections only.
func fewClients(w *world, hold time.Duration) {
	rdb := w.stage.admin(w.stage.server)
	defer rdb.Close()
	ctx := context.Background()
	must(w, rdb.ConfigSet(ctx, "maxclients", "4").Err())
	for _, kind := range []string{"normal", "pubsub"} {
		must(w, rdb.Do(ctx, "client", "kill", "type", kind, "skipme", "yes").Err())
	}
	time.Sleep(hold)
	redistest.Eventually(w.t, func() bool { // the admin's own connection may have been refused
		return rdb.ConfigSet(ctx, "maxclients", "10000").Err() == nil
	}, "the server takes clients again")
}

func outOfMemory(w *world, hold time.Duration) {
	w.stage.run(w.stage.server, "config", "set", "maxmemory", "1mb")
	time.Sleep(hold)
	w.stage.run(w.stage.server, "config", "set", "maxmemory", "0")
}

// evict fills the memory with what lives for a minute.
func evict(w *world, hold time.Duration) {
	ctx := context.Background()
	rdb := w.stage.admin(w.stage.server)
	defer rdb.Close()
	must(w, rdb.ConfigSet(ctx, "maxmemory", "4mb").Err())
	for until, n := time.Now().Add(hold), 0; time.Now().Before(until); n++ {
		pipe := rdb.Pipeline()
		for i := range 20 {
			pipe.Set(ctx, fmt.Sprint("filler:", n%50, ":", i), strings.Repeat("x", 10_000), time.Minute)
		}
		_, _ = pipe.Exec(ctx)
	}
	must(w, rdb.ConfigSet(ctx, "maxmemory", "0").Err())
}

// failToSave puts a directory where the dump is to go, so that Redis refuses
// writes until it could save.
func failToSave(w *world, hold time.Duration) {
	ctx := context.Background()
	rdb := w.stage.admin(w.stage.server)
	defer rdb.Close()
	dump := filepath.Join(w.stage.server.Dir(), "dump.rdb")
	_ = os.Remove(dump)
	must(w, os.Mkdir(dump, 0o700))
	saved := func(status string) {
		redistest.Eventually(w.t, func() bool {
			_ = rdb.BgSave(ctx).Err()
			return strings.Contains(rdb.Info(ctx, "persistence").Val(), "rdb_last_bgsave_status:"+status)
		}, "a save ends with "+status)
	}
	saved("err")
	time.Sleep(hold)
	must(w, os.Remove(dump))
	saved("ok")
}

func flushScripts(w *world) { w.stage.run(w.stage.server, "script", "flush") }

// rotatePassword rotates as the documentation says.
func rotatePassword(w *world, hold time.Duration) {
	s := w.stage
	s.run(s.server, "acl", "setuser", "default", ">second")
	must(w, os.WriteFile(s.password, []byte("second"), 0o600))
	time.Sleep(hold)
	s.run(s.server, "acl", "setuser", "default", "<"+firstPassword)
	cutAll(w)
}

func rotateCertificate(w *world, hold time.Duration) {
	s := w.stage
	next := s.certs[1]
	s.run(s.server, "config", "set", "tls-cert-file", next.ServerCert, "tls-key-file", next.ServerKey, "tls-ca-cert-file", next.CA)
	time.Sleep(hold)
	cutAll(w)
}

// networks breaks the network of every member, and mends it after hold.
func networks(breaks, mends func(*redistest.Proxy)) func(w *world, hold time.Duration) {
	return func(w *world, hold time.Duration) {
		for _, m := range w.members {
			breaks(m.proxy)
		}
		time.Sleep(hold)
		for _, m := range w.members {
			mends(m.proxy)
		}
	}
}

func delay(d time.Duration) func(w *world, hold time.Duration) {
	strike := networks(func(p *redistest.Proxy) { p.Delay(d) }, (*redistest.Proxy).Heal)
	return func(w *world, hold time.Duration) { strike(w, hold+d/2) }
}

func cutAll(w *world) {
	for _, m := range w.members {
		m.proxy.Cut()
	}
}

// halfOpen is a network that is gone and of which one member only learns late.
func halfOpen(w *world, hold time.Duration) {
	m := w.members[0]
	m.proxy.BlackHole()
	time.Sleep(hold)
	m.proxy.Cut()
	m.proxy.Heal()
}

// setClocks sets the clock on the wall forth and back, as whoever keeps it in time
// may, by a little and by an hour.
func setClocks(_ *world, hold time.Duration) {
	defer wall.SetAhead(0)
	for until, i := time.Now().Add(hold), 0; time.Now().Before(until); i++ {
		wall.SetAhead([]time.Duration{time.Hour, -time.Hour, 300 * time.Millisecond, -300 * time.Millisecond}[i%4])
		time.Sleep(30 * time.Millisecond)
	}
}

func loseReplies(w *world) {
	for _, m := range w.members {
		for _, command := range []string{"evalsha", "get", "publish", "unlink"} {
			m.proxy.DropReply(command)
		}
	}
}

func lateReplies(w *world) {
	for _, m := range w.members {
		m.proxy.DelayReply("evalsha", 700*time.Millisecond)
	}
}

// overrun publishes more than a subscriber that cannot read is sent.
func overrun(w *world, hold time.Duration) {
	ctx := context.Background()
	rdb := w.stage.admin(w.stage.server)
	defer rdb.Close()
	w.members[0].proxy.BlackHole()
	for until := time.Now().Add(hold); time.Now().Before(until); {
		must(w, rdb.Publish(ctx, "conversation:ticks", `{"From":"`+strings.Repeat("x", 1<<20)+`"}`).Err())
		time.Sleep(20 * time.Millisecond)
	}
	w.members[0].proxy.Heal()
}

func failOver(w *world, hold time.Duration) {
	s := w.stage.sentinel
	old := s.Master()
	old.Kill()
	time.Sleep(hold)
	redistest.Eventually(w.t, func() bool { return s.Master() != old }, "a replica is promoted")
	rdb := s.Client(s.Master())
	defer rdb.Close()
	redistest.Eventually(w.t, func() bool {
		role, err := rdb.Do(context.Background(), "role").Slice()
		return err == nil && role[0] == "master"
	}, "the promoted replica is a master")
}

// promote kills a master of a Cluster; its replica takes over by itself.
func promote(w *world, hold time.Duration) {
	s := w.stage
	s.cluster.Nodes()[0].Kill()
	time.Sleep(hold)
	rdb := s.admin(s.replicas[0])
	defer rdb.Close()
	redistest.Eventually(w.t, func() bool {
		role, err := rdb.Do(context.Background(), "role").Slice()
		return err == nil && role[0] == "master" &&
			strings.Contains(rdb.ClusterInfo(context.Background()).Val(), "cluster_state:ok")
	}, "the replica is promoted")
}

// moveSlots moves all slots that hold something from one master to another,
// and back the next time.
func moveSlots(w *world, hold time.Duration) {
	from, to := w.stage.cluster.Nodes()[0], w.stage.cluster.Nodes()[1]
	for until := time.Now().Add(hold); time.Now().Before(until); from, to = to, from {
		w.stage.cluster.MoveBusySlots(from, to)
	}
}

func must(w *world, err error) {
	w.t.Helper()
	if err != nil && err != redis.Nil {
		w.t.Fatal(err)
	}
}
