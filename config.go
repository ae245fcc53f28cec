package rediskit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/convkit/rediskit/secrets"
)

// Config says which Redis to connect to and how. The zero Config is one server at
// redis:6379, with the password from the Docker secret redis_password if there is
// that file. A zero field always means its default.
type Config struct {
	// Addrs are host:port or host addresses: of the server, of some nodes of a
	// Cluster (two or more, or Cluster set), or of the Sentinels (MasterName set).
	// A missing port is 6379, or 26379 for Sentinels. One path, /run/redis.sock or
	// unix:///run/redis.sock, is a Unix socket. Default: redis:6379; Sentinels have
	// no default.
	Addrs []string

	// Cluster makes a single address the seed of a Cluster. Default: false, which
	// means one server for one address and a Cluster for several.
	Cluster bool

	// MasterName is the name by which the Sentinels in Addrs know the master, to
	// which all commands go. Default: none; no Sentinel is asked.
	MasterName string

	// SentinelUsername and SentinelPassword authenticate to the Sentinels
	// themselves. The password is read once, by Connect. Default: none.
	SentinelUsername string
	SentinelPassword secrets.Source

	// Username is the ACL user. Default: none, which Redis takes for "default".
	Username string

	// Password is read anew for every connection, so that a rotated one needs no
	// restart. While it cannot be read, or is empty, the last good one is used and
	// OnError is told. Default: the Docker secret redis_password if the file
	// /run/secrets/redis_password exists when Connect is called, else none.
	Password secrets.Source

	// DB is the logical database, from 0. A Cluster has only 0. Default: 0.
	DB int

	// TLS is used for every connection, to Sentinels too. A missing ServerName is
	// each address's host. Default: nil, no TLS.
	TLS *tls.Config

	// Name shows in CLIENT LIST. Default: the base name of the executable. In
	// either, characters that Redis does not accept become '-'.
	Name string

	// PoolSize is the greatest number of connections for single commands, per node.
	// A third as many, rounded up, serve pipelines; each subscription has its own.
	// More goroutines than connections wait for their turn, which takes
	// microseconds. At most 65,536. Default: 12, so 16 connections: five such
	// processes fit the 100 clients of a small server with room for its exporter
	// and its health check. Compare [NodeHealth.MaxClients].
	PoolSize int

	// DialTimeout bounds one dial, TLS handshake included; ReadTimeout and
	// WriteTimeout one reply and one request on the wire; PoolTimeout the wait for
	// a pooled connection. A context that ends sooner wins. They suit a server that
	// answers within a millisecond. Default: 500 ms each.
	DialTimeout, ReadTimeout, WriteTimeout, PoolTimeout time.Duration

	// NoEviction makes Connect refuse a server whose maxmemory-policy is not
	// noeviction, or that will not tell (the user then needs +info): under another
	// policy locks, sessions and counters vanish when memory fills. Default: false,
	// any policy will do.
	NoEviction bool

	// OnError is told the errors that no caller gets: Connect's failed attempts,
	// and passwords that cannot be read (at most one a minute while nothing
	// changes). It may be called from several goroutines at once and must not
	// block. Default: nil, they are dropped.
	OnError func(context.Context, error)

	// Tune may change go-redis's options last, after all of the above. It is the
	// way out for what has no field here. MaxRetries is -1: the breaker itself
	// sends again what found a dead connection, and nothing after a time-out.
	// Default: nil, nothing is changed.
	Tune func(*redis.UniversalOptions)
}

const (
	defaultAddr     = "redis:6379"
	defaultPoolSize = 12
	// maxPoolSize is as many as an address has ports. go-redis allocates what is
	// asked for, and panics at much more.
	maxPoolSize    = 1 << 16
	defaultTimeout = 500 * time.Millisecond

	defaultSecret = "/run/secrets/redis_password"
)

func (c Config) withDefaults() Config {
	if len(c.Addrs) == 0 && c.MasterName == "" {
		c.Addrs = []string{defaultAddr}
	}
	if c.Password == nil {
		// Decided once: were it decided again at each connection, a file that is
		// away for a moment would mean connections without a password.
		c.Password = secrets.None()
		if _, err := os.Stat(defaultSecret); !errors.Is(err, fs.ErrNotExist) {
			c.Password = secrets.File(defaultSecret)
		}
	}
	if c.Name == "" {
		c.Name = filepath.Base(os.Args[0])
	}
	c.Name = clientName(c.Name)
	if c.PoolSize == 0 {
		c.PoolSize = defaultPoolSize
	}
	for _, d := range []*time.Duration{&c.DialTimeout, &c.ReadTimeout, &c.WriteTimeout, &c.PoolTimeout} {
		if *d == 0 {
			*d = defaultTimeout
		}
	}
	if c.OnError == nil {
		c.OnError = func(context.Context, error) {}
	}
	return c
}

// clientName returns name with what CLIENT SETNAME refuses replaced.
func clientName(name string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, name)
}

// check reports every impossible setting of c, whose defaults are filled in.
func (c Config) check() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("rediskit: Config."+field+" "+format, args...))
	}
	if len(c.Addrs) == 0 {
		wrong("Addrs", "is empty: name the Sentinels that know the master")
	}
	socket := false
	for i, addr := range c.Addrs {
		address, err := c.address(addr)
		if err != nil {
			wrong(fmt.Sprintf("Addrs[%d]", i), "%w", err)
		}
		socket = socket || strings.HasPrefix(address, "/")
	}
	isCluster := c.Cluster || len(c.Addrs) > 1 && c.MasterName == ""
	switch {
	case c.Cluster && c.MasterName != "":
		wrong("Cluster", "and Config.MasterName exclude each other: a Cluster has no Sentinels")
	case socket && (isCluster || c.MasterName != ""):
		wrong("Addrs", "has a Unix socket: a Cluster and Sentinels need host:port addresses")
	case socket && c.TLS != nil:
		wrong("TLS", "does not go with a Unix socket: leave it nil")
	}
	switch {
	case c.MasterName == "" && c.SentinelUsername != "":
		wrong("SentinelUsername", "needs Config.MasterName, the name by which the Sentinels know the master")
	case c.MasterName == "" && c.SentinelPassword != nil:
		wrong("SentinelPassword", "needs Config.MasterName, the name by which the Sentinels know the master")
	case c.SentinelUsername != "" && c.SentinelPassword == nil:
		wrong("SentinelUsername", "is set without a password: set Config.SentinelPassword")
	}
	switch {
	case c.DB < 0:
		wrong("DB", "is %d: it must be 0 or more", c.DB)
	case c.DB != 0 && isCluster:
		wrong("DB", "is %d: a Cluster has only 0", c.DB)
	}
	if c.PoolSize < 1 || c.PoolSize > maxPoolSize {
		wrong("PoolSize", "is %d: it must be from 1 to %d, or 0 for the default", c.PoolSize, maxPoolSize)
	}
	for _, timeout := range []struct {
		field string
		value time.Duration
	}{
		{"DialTimeout", c.DialTimeout},
		{"ReadTimeout", c.ReadTimeout},
		{"WriteTimeout", c.WriteTimeout},
		{"PoolTimeout", c.PoolTimeout},
	} {
		if timeout.value < time.Millisecond {
			wrong(timeout.field, "is %v: it must be 1 ms or more, or 0 for the default; a deadline on the context shortens single calls", timeout.value)
		}
	}
	return errors.Join(errs...)
}

// address returns addr as go-redis wants it: host:port, or the path of a socket.
// Its errors do not quote addr, which may be a URL with a password in it.
func (c Config) address(addr string) (string, error) {
	if path := strings.TrimPrefix(addr, "unix://"); strings.HasPrefix(path, "/") {
		return path, nil
	}
	switch {
	case strings.ContainsAny(addr, "/@"):
		return "", errors.New("is not host:port: for a URL see ConfigFromURL")
	case strings.ContainsAny(addr, ", \t\r\n"):
		return "", errors.New("is not one host:port: give each address an element of its own, without white space")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil { // no port, as far as can be told
		host, port = addr, "6379"
		if c.MasterName != "" {
			port = "26379"
		}
		if strings.ContainsAny(host, "[:]") {
			host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
			if net.ParseIP(host) == nil {
				host = ""
			}
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); host == "" || err != nil || n == 0 {
		return "", errors.New("is not host:port with a port from 1 to 65535")
	}
	return net.JoinHostPort(host, port), nil
}

// options returns what go-redis is to be told. c has passed check.
func (c Config) options(sentinelPassword secrets.Secret) *redis.UniversalOptions {
	addrs := make([]string, len(c.Addrs))
	for i, addr := range c.Addrs {
		addrs[i], _ = c.address(addr)
	}
	return &redis.UniversalOptions{
		Addrs:            addrs,
		IsClusterMode:    c.Cluster,
		MasterName:       c.MasterName,
		SentinelUsername: c.SentinelUsername,
		SentinelPassword: sentinelPassword.Reveal(),
		DB:               c.DB,
		TLSConfig:        c.TLS,
		ClientName:       c.Name,

		// RESP3 has nothing that this library needs: invalidations reach a RESP2
		// connection by CLIENT TRACKING REDIRECT. Without push frames go-redis need
		// not look for them around each command, and what an idle connection has to
		// read can only mean that the server closed it.
		Protocol: 2,
		// CLIENT SETINFO costs a round trip per connection and exists since 7.2.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},

		PoolSize:              c.PoolSize,
		PipelinePoolSize:      (c.PoolSize + 2) / 3,
		DialTimeout:           c.DialTimeout,
		ReadTimeout:           c.ReadTimeout,
		WriteTimeout:          c.WriteTimeout,
		PoolTimeout:           c.PoolTimeout,
		ContextTimeoutEnabled: true,

		// A dial is tried once and a command sent once: the breaker decides what is
		// worth a second attempt. A Cluster client repeats by itself what was
		// redirected; it must not sleep for long in between.
		DialerRetries:   1,
		MaxRetries:      -1,
		MaxRetryBackoff: 50 * time.Millisecond,
	}
}
