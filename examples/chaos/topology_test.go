package chaos

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/redistest/netlab"
	"github.com/convkit/rediskit/secrets"
)

// A topology has the servers of a round: one server, or a primary with replicas and
// Sentinels, or a Cluster.
type topology struct {
	t        testing.TB
	server   *redistest.Process
	standby  *redistest.Process // a replica of server, which addresses may move to
	certs    []*redistest.Certs // of a server with TLS: its first and its second
	password string             // the file with the password of a single server
	users    string             // the file with its users
	sentinel *redistest.Sentinel
	cluster  *redistest.Cluster
	replicas []*redistest.Process // of the Cluster's first nodes, in their order
	lab      *netlab.Lab          // of servers whose network is cut packet by packet
	remote   bool                 // the first member has a process of its own
	copies   int                  // replicas of each primary, if only they can take its place
}

func (s *topology) single() bool { return s.server != nil }

// replaced reports whether another server may take the place of the primary while that one
// goes on.
func (s *topology) replaced() bool { return s.sentinel != nil || s.standby != nil }

// config returns how m connects. On a single server m gets a network of its own, and in a
// lab an address of its own.
func (s *topology) config(m *member) rediskit.Config {
	cfg := rediskit.Config{Password: secrets.None(), Name: "chaos"}
	switch {
	case s.sentinel != nil:
		cfg.Addrs, cfg.MasterName = s.sentinel.Addrs(), s.sentinel.MasterName()
	case s.cluster != nil:
		cfg.Addrs, cfg.Cluster = s.cluster.Addrs(), true
	case s.lab != nil:
		cfg.Addrs = []string{s.server.Addr()}
	default:
		m.proxy = redistest.StartProxy(s.t, s.server.Addr())
		cfg.Addrs = []string{m.proxy.Addr()}
	}
	if s.password != "" {
		cfg.Password = secrets.File(s.password)
	}
	if s.certs != nil {
		cfg.TLS = s.trust()
		return cfg
	}
	dialer := &net.Dialer{}
	if s.lab != nil {
		m.host = s.lab.Client()
		dialer = m.host.Dialer()
	}
	if s.lab != nil || s.cluster != nil {
		cfg.Tune = func(o *redis.UniversalOptions) {
			dialer.Timeout = o.DialTimeout
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, m.leadsTo(addr))
			}
		}
	}
	return cfg
}

// trust returns a TLS configuration that accepts both certificate authorities.
func (s *topology) trust() *tls.Config {
	roots := x509.NewCertPool()
	for _, c := range s.certs {
		pem, err := os.ReadFile(c.CA)
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			s.t.Fatalf("read a certificate authority: %v", err)
		}
	}
	return &tls.Config{RootCAs: roots}
}

// admin returns a client of p that the fault does not disturb.
func (s *topology) admin(p *redistest.Process) *redis.Client {
	return p.Client(func(o *redis.Options) {
		if s.password != "" {
			o.Username, o.Password = "admin", firstPassword
		}
		if s.certs != nil {
			o.TLSConfig = s.trust()
		}
		if s.lab != nil {
			o.Network, o.Addr = "unix", p.Socket()
		}
	})
}

// primaries returns clients of all primaries that the fault does not disturb. The caller
// closes them.
func (s *topology) primaries() []*redis.Client {
	switch {
	case s.sentinel != nil:
		return []*redis.Client{s.admin(s.sentinel.Master())}
	case s.cluster != nil:
		var all []*redis.Client
		for _, p := range append(s.cluster.Nodes(), s.replicas...) {
			rdb := s.admin(p)
			if isPrimary(s, p) {
				all = append(all, rdb)
				continue
			}
			rdb.Close()
		}
		return all
	default:
		server := s.server
		if s.standby != nil && isPrimary(s, s.standby) {
			server = s.standby
		}
		return []*redis.Client{s.admin(server)}
	}
}

// isPrimary reports whether p calls itself a primary.
func isPrimary(s *topology, p *redistest.Process) bool {
	rdb := s.admin(p)
	defer rdb.Close()
	role, err := rdb.Do(context.Background(), "role").Slice()
	return err == nil && role[0] == "master"
}

// owner returns the node of a Cluster that has the slot of key, with its epoch: a slot that
// was elsewhere meanwhile has raised it. Without a Cluster it returns "".
func (s *topology) owner(key string) string {
	if s.cluster == nil {
		return ""
	}
	var owner string
	for _, rdb := range s.primaries() {
		for line := range strings.Lines(rdb.ClusterNodes(context.Background()).Val()) {
			fields := strings.Fields(line) // id, address, flags, primary, ping, pong, epoch, link, slots
			if strings.Contains(line, "myself") && slices.ContainsFunc(fields[min(8, len(fields)):], func(r string) bool { return inRange(keys.Slot(key), r) }) {
				owner = fields[0] + " " + fields[6]
			}
		}
		rdb.Close()
	}
	return owner
}

// inRange reports whether slot is in a range of CLUSTER NODES, such as 7 or 0-5460.
func inRange(slot int, text string) bool {
	low, high, found := strings.Cut(text, "-")
	if !found {
		high = low
	}
	first, err := strconv.Atoi(low)
	last, err2 := strconv.Atoi(high)
	return err == nil && err2 == nil && first <= slot && slot <= last
}

// The topologies.

// firstPassword is the password of all users until it is rotated.
const firstPassword = "first"

// plain is one server with the users of the deploy kit. The fleet connects as the user of
// the applications.
func plain(args ...string) func(t testing.TB) *topology {
	return func(t testing.TB) *topology { return plainAt(t, redistest.Place{}, args...) }
}

func plainAt(t testing.TB, place redistest.Place, args ...string) *topology {
	s := &topology{t: t, password: filepath.Join(t.TempDir(), "password")}
	users := filepath.Join(t.TempDir(), "users.acl")
	if err := errors.Join(
		os.WriteFile(s.password, []byte(firstPassword), 0o600),
		os.WriteFile(users, []byte(kitUsers(t)), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	s.users = users
	s.server = redistest.StartAt(t, place, append(args, "--aclfile", users)...)
	return s
}

// pair is plain with a replica of the server.
func pair(t testing.TB) *topology {
	asAdmin := []string{"--masteruser", "admin", "--masterauth", firstPassword}
	s := plain(asAdmin...)(t)
	s.standby = redistest.Start(t, append(asAdmin, "--aclfile", s.users)...)
	s.follow(s.standby, s.server)
	s.copies = 1
	return s
}

// follow makes p a replica of primary, and waits until it has all data.
func (s *topology) follow(p, primary *redistest.Process) {
	s.t.Helper()
	rdb := s.admin(p)
	defer rdb.Close()
	if err := rdb.SlaveOf(context.Background(), primary.Host(), fmt.Sprint(primary.Port())).Err(); err != nil {
		s.t.Fatal(err)
	}
	redistest.Eventually(s.t, func() bool {
		return strings.Contains(rdb.Info(context.Background(), "replication").Val(), "master_link_status:up")
	}, "the replica has all data")
}

// kitUsers returns the users of the deploy kit for one instance as an ACL file: without
// comments, and with one line for each user.
func kitUsers(t testing.TB) string {
	text, err := os.ReadFile("../../deploy/redis/single.acl")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSuffix(line, "\n"); line == "" || line[0] == '#' {
			continue
		}
		if line[0] != ' ' && b.Len() > 0 {
			b.WriteString("\n")
		}
		b.WriteString(line)
	}
	return strings.ReplaceAll(b.String(), "{passwords}", ">"+firstPassword) + "\n"
}

func withTLS(t testing.TB) *topology {
	certs := []*redistest.Certs{redistest.TLS(t), redistest.TLS(t)}
	s := plain(certs[0].Args()...)(t)
	s.certs = certs
	return s
}

func sentinels(t testing.TB) *topology {
	return &topology{t: t, sentinel: redistest.StartSentinel(t), copies: 1}
}

func cluster(t testing.TB) *topology { return &topology{t: t, cluster: redistest.StartCluster(t, 3)} }

// clusterWithReplicas is a Cluster in which each primary has one replica.
func clusterWithReplicas(t testing.TB) *topology {
	s := cluster(t)
	for _, primary := range s.cluster.Nodes() {
		s.replicas = append(s.replicas, s.cluster.AddReplica(primary))
	}
	s.copies = 1
	return s
}

// run runs a command on p over a client that the fault does not disturb.
func (s *topology) run(p *redistest.Process, args ...any) any {
	s.t.Helper()
	rdb := s.admin(p)
	defer rdb.Close()
	v, err := rdb.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args[0], err)
	}
	return v
}
