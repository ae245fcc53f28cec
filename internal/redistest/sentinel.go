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

// A Sentinel is a primary with replicas, and three Sentinels that watch them.
type Sentinel struct {
	t         testing.TB
	options   SentinelOptions
	servers   []*Process
	sentinels []*Process
	clients   map[*Process]*redis.SentinelClient // of each of sentinels
}

// SentinelOptions are the options of StartSentinel.
type SentinelOptions struct {
	// Replicas is the number of replicas. Defaults to 1.
	Replicas int
	// Password is what the servers require of every client and replica. The Sentinels
	// require none. Defaults to none.
	Password string
	// Args are further settings of the servers, as in Start. Defaults to none.
	Args []string
	// Place returns the place of each server and Sentinel. Defaults to loopback.
	Place func() Place
}

const (
	masterName    = "mymaster"
	quorum        = 2
	sentinelCount = 3
)

// StartSentinel starts servers and Sentinels that end with the test. It waits until all
// Sentinels know each other and every replica. They consider a primary down after 500 ms
// and promote a replica a second later, or five seconds later if their first vote had no
// winner.
func StartSentinel(t testing.TB, opts ...func(*SentinelOptions)) *Sentinel {
	t.Helper()
	requireProgram(t, "redis-server")
	s := &Sentinel{
		t: t, options: SentinelOptions{Replicas: 1, Place: onLoopback},
		clients: map[*Process]*redis.SentinelClient{},
	}
	for _, opt := range opts {
		opt(&s.options)
	}
	args := []string{"--repl-timeout", "5", "--repl-ping-replica-period", "1"}
	if p := s.options.Password; p != "" {
		args = append(args, "--requirepass", p, "--masterauth", p)
	}
	args = append(args, s.options.Args...)
	primary := StartAt(t, s.options.Place(), args...)
	s.servers = append(s.servers, primary)
	for range s.options.Replicas {
		s.servers = append(s.servers,
			StartAt(t, s.options.Place(), append(args, "--replicaof", fmt.Sprint(primary.Host(), " ", primary.Port()))...))
	}
	for range sentinelCount {
		s.sentinels = append(s.sentinels, s.startSentinel(primary))
	}
	Eventually(t, s.complete, "the Sentinels know each other and the replicas")
	return s
}

// MasterName returns the name of the primary at the Sentinels.
func (s *Sentinel) MasterName() string { return masterName }

// Addrs returns the addresses of the Sentinels.
func (s *Sentinel) Addrs() []string {
	var addrs []string
	for _, p := range s.sentinels {
		addrs = append(addrs, p.Addr())
	}
	return addrs
}

// Watchers returns the processes of the Sentinels, in the order of Addrs.
func (s *Sentinel) Watchers() []*Process { return s.sentinels }

// Servers returns the primary and its replicas, in the order in which they were started: the
// first one was the primary then.
func (s *Sentinel) Servers() []*Process { return s.servers }

// Master asks the Sentinels which server is the primary now, and returns the server that at
// least two of them name. It fails the test if they do not agree within ten seconds.
func (s *Sentinel) Master() *Process {
	s.t.Helper()
	var primary *Process
	Eventually(s.t, func() bool {
		votes := map[string]int{}
		for _, p := range s.sentinels {
			addr, _ := s.clients[p].GetMasterAddrByName(context.Background(), masterName).Result()
			if len(addr) == 2 {
				votes[net.JoinHostPort(addr[0], addr[1])]++
			}
		}
		for _, p := range s.servers {
			if votes[p.Addr()] >= quorum {
				primary = p
			}
		}
		return primary != nil
	}, "the Sentinels agree on a primary")
	return primary
}

// Replicas returns the servers other than Master, running or not.
func (s *Sentinel) Replicas() []*Process {
	s.t.Helper()
	var replicas []*Process
	for primary, i := s.Master(), 0; i < len(s.servers); i++ {
		if s.servers[i] != primary {
			replicas = append(replicas, s.servers[i])
		}
	}
	return replicas
}

// Client returns a client of one of Servers, with the right password, that is closed with
// the test.
func (s *Sentinel) Client(p *Process) *redis.Client {
	return p.Client(func(o *redis.Options) { o.Password = s.options.Password })
}

// startSentinel starts a Sentinel, with a file in which it keeps its state.
func (s *Sentinel) startSentinel(primary *Process) *Process {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "sentinel.conf")
	conf := fmt.Sprintf(`sentinel monitor %[1]s %[2]s %[3]d %[4]d
sentinel down-after-milliseconds %[1]s 500
sentinel failover-timeout %[1]s 2000
`, masterName, primary.Host(), primary.Port(), quorum)
	if p := s.options.Password; p != "" {
		conf += fmt.Sprintf("sentinel auth-pass %s %s\n", masterName, p)
	}
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		s.t.Fatal(err)
	}
	place := s.options.Place()
	p, err := launchOn(place, place.port, []string{
		file, "--sentinel", "--port", "{port}", "--bind", "{host}", "--dir", "{dir}",
	})
	if err != nil {
		s.t.Fatal(err)
	}
	p.endWith(s.t)
	s.clients[p] = redis.NewSentinelClient(&redis.Options{
		Addr: p.Addr(), MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
		DialTimeout: time.Second, ReadTimeout: time.Second,
	})
	s.t.Cleanup(func() { s.clients[p].Close() })
	// These periods are usually 1, 10 and 2 s. ping-period stays as it is: a replica is
	// not promoted if its INFO is older than five of them, and during a failover INFO is
	// read once a second.
	for _, period := range []string{"ask-period", "info-period", "publish-period"} {
		if err := p.Client().Do(context.Background(), "sentinel", "debug", period, 100).Err(); err != nil {
			s.t.Logf("this Sentinel keeps its usual periods: %v", err)
			break
		}
	}
	return p
}

// complete reports whether every Sentinel knows a healthy primary, all replicas and both
// other Sentinels.
func (s *Sentinel) complete() bool {
	for _, p := range s.sentinels {
		m, err := s.clients[p].Master(context.Background(), masterName).Result()
		if err != nil || m["flags"] != "master" ||
			m["num-slaves"] != fmt.Sprint(s.options.Replicas) ||
			m["num-other-sentinels"] != fmt.Sprint(sentinelCount-1) {
			return false
		}
		replicas, err := s.clients[p].Replicas(context.Background(), masterName).Result()
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
