package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Sentinel is a master with replicas and three Sentinels that watch them.
type Sentinel struct {
	t         testing.TB
	options   SentinelOptions
	servers   []*Process
	sentinels []*Process
	askers    map[*Process]*redis.SentinelClient
}

// SentinelOptions shape a StartSentinel.
type SentinelOptions struct {
	// Replicas is how many the master has. Default: 1.
	Replicas int
	// Password is what the servers, not the Sentinels, require of everybody.
	// Default: none.
	Password string
}

const (
	masterName = "mymaster"
	quorum     = 2
	watchers   = 3
)

// StartSentinel starts servers and Sentinels that end with the test, and waits
// until all Sentinels know each other and every replica. They call a master
// down after 500 ms and promote a replica a second later, or five seconds
// later if their first vote had no winner.
func StartSentinel(t testing.TB, opts ...func(*SentinelOptions)) *Sentinel {
	t.Helper()
	requireProgram(t, "redis-server")
	s := &Sentinel{
		t: t, options: SentinelOptions{Replicas: 1},
		askers: map[*Process]*redis.SentinelClient{},
	}
	for _, opt := range opts {
		opt(&s.options)
	}
	args := []string{"--repl-timeout", "5", "--repl-ping-replica-period", "1"}
	if p := s.options.Password; p != "" {
		args = append(args, "--requirepass", p, "--masterauth", p)
	}
	master := Start(t, args...)
	s.servers = append(s.servers, master)
	for range s.options.Replicas {
		s.servers = append(s.servers,
			Start(t, append(args, "--replicaof", fmt.Sprint("127.0.0.1 ", master.Port()))...))
	}
	for range watchers {
		s.sentinels = append(s.sentinels, s.startWatcher(master))
	}
	Eventually(t, s.agreed, "the Sentinels know each other and the replicas")
	return s
}

// MasterName is what the Sentinels call the master.
func (s *Sentinel) MasterName() string { return masterName }

// Addrs are the addresses of the Sentinels.
func (s *Sentinel) Addrs() []string {
	var addrs []string
	for _, p := range s.sentinels {
		addrs = append(addrs, p.Addr())
	}
	return addrs
}

// Watchers are the processes of the Sentinels, in the order of Addrs.
func (s *Sentinel) Watchers() []*Process { return s.sentinels }

// Servers are the master and its replicas, in no order.
func (s *Sentinel) Servers() []*Process { return s.servers }

// Master asks the Sentinels which server is the master now: what most of those
// that answer say. It fails the test if no quorum agrees within ten seconds.
func (s *Sentinel) Master() *Process {
	s.t.Helper()
	var master *Process
	Eventually(s.t, func() bool {
		votes := map[string]int{}
		for _, p := range s.sentinels {
			addr, _ := s.askers[p].GetMasterAddrByName(context.Background(), masterName).Result()
			if len(addr) == 2 {
				votes[net.JoinHostPort(addr[0], addr[1])]++
			}
		}
		for _, p := range s.servers {
			if votes[p.Addr()] >= quorum {
				master = p
			}
		}
		return master != nil
	}, "the Sentinels agree on a master")
	return master
}

// Replicas are the servers other than Master, running or not.
func (s *Sentinel) Replicas() []*Process {
	s.t.Helper()
	var replicas []*Process
	for master, i := s.Master(), 0; i < len(s.servers); i++ {
		if s.servers[i] != master {
			replicas = append(replicas, s.servers[i])
		}
	}
	return replicas
}

// Client returns a client of one of Servers with the right password, closed
// with the test.
func (s *Sentinel) Client(p *Process) *redis.Client {
	return p.Client(func(o *redis.Options) { o.Password = s.options.Password })
}

// startWatcher gives a Sentinel the file in which it keeps what it learns.
func (s *Sentinel) startWatcher(master *Process) *Process {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "sentinel.conf")
	conf := fmt.Sprintf(`sentinel monitor %[1]s 127.0.0.1 %[2]d %[3]d
sentinel down-after-milliseconds %[1]s 500
sentinel failover-timeout %[1]s 2000
`, masterName, master.Port(), quorum)
	if p := s.options.Password; p != "" {
		conf += fmt.Sprintf("sentinel auth-pass %s %s\n", masterName, p)
	}
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		s.t.Fatal(err)
	}
	p, err := launchOn(freePort, []string{
		file, "--sentinel", "--port", "{port}", "--bind", "127.0.0.1", "--dir", "{dir}",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	p.endWith(s.t)
	s.askers[p] = redis.NewSentinelClient(&redis.Options{
		Addr: p.Addr(), MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
		DialTimeout: time.Second, ReadTimeout: time.Second,
	})
	s.t.Cleanup(func() { s.askers[p].Close() })
	// Ask, look and tell each other more often than the usual 1, 10 and 2 s. Not
	// so ping-period: INFO of a replica older than five of those, and INFO comes
	// once a second during a failover, makes it unfit for promotion.
	for _, period := range []string{"ask-period", "info-period", "publish-period"} {
		if err := p.Client().Do(context.Background(), "sentinel", "debug", period, 100).Err(); err != nil {
			s.t.Logf("this Sentinel cannot be hastened: %v", err)
			break
		}
	}
	return p
}

// agreed says whether every Sentinel sees a healthy master, all replicas and
// both other Sentinels.
func (s *Sentinel) agreed() bool {
	for _, p := range s.sentinels {
		m, err := s.askers[p].Master(context.Background(), masterName).Result()
		if err != nil || m["flags"] != "master" ||
			m["num-slaves"] != fmt.Sprint(s.options.Replicas) ||
			m["num-other-sentinels"] != fmt.Sprint(watchers-1) {
			return false
		}
		replicas, err := s.askers[p].Replicas(context.Background(), masterName).Result()
		if err != nil {
			return false
		}
		for _, r := range replicas {
			if r["flags"] != "slave" || r["master-link-status"] != "ok" {
				return false
			}
		}
	}
	return true
}
