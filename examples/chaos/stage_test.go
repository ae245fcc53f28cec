package chaos

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/secrets"
)

// A stage is the servers of a world: one server, or a master with Sentinels,
// or a Cluster.
type stage struct {
	t        testing.TB
	server   *redistest.Process
	certs    []*redistest.Certs // of a server with TLS: its first and its second
	password string             // the file of a server's
	sentinel *redistest.Sentinel
	cluster  *redistest.Cluster
	replicas []*redistest.Process // of the cluster's masters, in their order
}

func (s *stage) single() bool { return s.server != nil }

// config is how m connects; on a single server it gets its own network.
func (s *stage) config(m *member) rediskit.Config {
	cfg := rediskit.Config{Password: secrets.None(), Name: "chaos"}
	switch {
	case s.sentinel != nil:
		cfg.Addrs, cfg.MasterName = s.sentinel.Addrs(), s.sentinel.MasterName()
	case s.cluster != nil:
		cfg.Addrs, cfg.Cluster = s.cluster.Addrs(), true
	default:
		m.proxy = redistest.StartProxy(s.t, s.server.Addr())
		cfg.Addrs = []string{m.proxy.Addr()}
	}
	if s.password != "" {
		cfg.Password = secrets.File(s.password)
	}
	if s.certs != nil {
		cfg.TLS = s.trust()
	}
	return cfg
}

// trust is a TLS configuration that believes either authority.
func (s *stage) trust() *tls.Config {
	roots := x509.NewCertPool()
	for _, c := range s.certs {
		pem, err := os.ReadFile(c.CA)
		if err != nil || !roots.AppendCertsFromPEM(pem) {
			s.t.Fatalf("read an authority: %v", err)
		}
	}
	return &tls.Config{RootCAs: roots}
}

// admin is an undisturbed client of p.
func (s *stage) admin(p *redistest.Process) *redis.Client {
	return p.Client(func(o *redis.Options) {
		if s.password != "" {
			o.Username, o.Password = "admin", firstPassword
		}
		if s.certs != nil {
			o.TLSConfig = s.trust()
		}
	})
}

// masters are undisturbed clients of all masters, for the caller to close.
func (s *stage) masters() []*redis.Client {
	switch {
	case s.sentinel != nil:
		return []*redis.Client{s.admin(s.sentinel.Master())}
	case s.cluster != nil:
		var all []*redis.Client
		for _, p := range append(s.cluster.Nodes(), s.replicas...) {
			rdb := s.admin(p)
			if role, err := rdb.Do(context.Background(), "role").Slice(); err == nil && role[0] == "master" {
				all = append(all, rdb)
				continue
			}
			rdb.Close()
		}
		return all
	default:
		return []*redis.Client{s.admin(s.server)}
	}
}

// The stages.

// firstPassword is everybody's until it is rotated.
const firstPassword = "first"

// plain is a server with the users of the deploy kit, where the fleet is the
// applications.
func plain(args ...string) func(t testing.TB) *stage {
	return func(t testing.TB) *stage {
		s := &stage{t: t, password: filepath.Join(t.TempDir(), "password")}
		users := filepath.Join(t.TempDir(), "users.acl")
		if err := errors.Join(
			os.WriteFile(s.password, []byte(firstPassword), 0o600),
			os.WriteFile(users, []byte(kitUsers(t)), 0o600),
		); err != nil {
			t.Fatal(err)
		}
		s.server = redistest.Start(t, append(args, "--aclfile", users)...)
		return s
	}
}

// kitUsers are the users of the deploy kit for one instance, as an ACL file: without
// comments, and one line for each.
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

func withTLS(t testing.TB) *stage {
	certs := []*redistest.Certs{redistest.TLS(t), redistest.TLS(t)}
	s := plain(certs[0].Args()...)(t)
	s.certs = certs
	return s
}

func sentinels(t testing.TB) *stage { return &stage{t: t, sentinel: redistest.StartSentinel(t)} }

func cluster(t testing.TB) *stage { return &stage{t: t, cluster: redistest.StartCluster(t, 3)} }

// clusterWithReplicas gives each master of a Cluster one replica.
func clusterWithReplicas(t testing.TB) *stage {
	s := cluster(t)
	for _, master := range s.cluster.Nodes() {
		s.replicas = append(s.replicas, s.cluster.AddReplica(master))
	}
	return s
}

// run runs a command on p, undisturbed.
func (s *stage) run(p *redistest.Process, args ...any) any {
	s.t.Helper()
	rdb := s.admin(p)
	defer rdb.Close()
	v, err := rdb.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatalf("%v: %v", args[0], err)
	}
	return v
}
