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

// Config says which Redis to connect to, and how. The zero Config is one server at
// redis:6379, with the password from the Docker secret redis_password if that file
// exists. A field that is zero has its default.
type Config struct {
	// Addrs are addresses, host:port or host: of the server, of some nodes of a
	// Cluster (two or more, or Cluster set), or of the Sentinels (MasterName set).
	// A missing port is 6379, or 26379 for Sentinels. A single path, such as
	// /run/redis.sock or unix:///run/redis.sock, is a Unix socket. Required with
	// MasterName. Defaults to redis:6379.
	Addrs []string

	// Cluster makes a single address the first node of a Cluster. Defaults to false:
	// one address is one server, and several are a Cluster.
	Cluster bool

	// MasterName is the name under which the Sentinels in Addrs know the primary.
	// All commands go to that primary. Defaults to none: no Sentinel is asked.
	MasterName string

	// SentinelUsername is the ACL user at the Sentinels themselves. It needs
	// MasterName and SentinelPassword. Defaults to none.
	SentinelUsername string

	// SentinelPassword is the password for the Sentinels themselves. Connect reads it
	// once. It needs MasterName. Defaults to none.
	SentinelPassword secrets.Source

	// Username is the ACL user. It needs a password. Defaults to none, which Redis
	// takes for the user "default".
	Username string

	// Password is read again for every connection, so that a rotated password needs
	// no restart. While it cannot be read, or is empty, connections use the last good
	// one, and OnError receives the reason. Defaults to the Docker secret
	// redis_password if the file /run/secrets/redis_password exists when Connect is
	// called, else to none.
	Password secrets.Source

	// DB is the number of the logical database, 0 or more. A Cluster has only 0.
	// Defaults to 0.
	DB int

	// TLS is used for every connection, also to Sentinels. If it has no ServerName,
	// the host of each address is taken. Defaults to nil, no TLS.
	TLS *tls.Config

	// Name is the name of the connections in CLIENT LIST. Characters that Redis does
	// not accept in it become '-'. Defaults to the base name of the executable.
	Name string

	// PoolSize is the greatest number of connections for single commands, per node,
	// from 1 to 65,536. A third as many, rounded up, serve pipelines in addition. Each
	// subscription has a connection of its own. If there are more goroutines than
	// connections, they wait for a free one, which takes microseconds. Defaults to 12,
	// which makes 16 connections: five such processes fit the 100 clients of a small
	// server, with room for its exporter and its health check. Compare
	// [NodeHealth.MaxClients].
	PoolSize int

	// DialTimeout bounds one dial, including the TLS handshake. ReadTimeout bounds the
	// wait for one reply, WriteTimeout the sending of one request, and PoolTimeout the
	// wait for a pooled connection. Each is at least 1 ms. A context that ends earlier
	// takes precedence. Defaults to 500 ms each, which suits a server that answers
	// within a millisecond.
	DialTimeout, ReadTimeout, WriteTimeout, PoolTimeout time.Duration

	// MaxWaiting is the greatest number of calls of this client that may be under way
	// at once, at least 1: on the wire, and waiting for a connection or a pipeline. On
	// a Cluster it counts the calls to all nodes. A call beyond it fails at once with
	// ErrOverloaded, so that a Redis that is slow but not dead does not collect a
	// service's goroutines without end. A pipeline counts as one call, a command that
	// blocks (BLPOP) as any other; a subscription is not a call. Connect, connections
	// that open, and what a Cluster client asks for itself are never refused. Defaults
	// to 10,000, which a healthy service does not meet: 12 connections to a server that
	// answers within a millisecond serve 6,000 calls in the 500 ms of PoolTimeout, and
	// those behind them would not get a connection in time.
	MaxWaiting int

	// NoEviction refuses a server whose maxmemory-policy is not noeviction, or that does
	// not report its policy (the user then needs +info). Each new connection looks. Under
	// another policy locks, sessions and counters vanish when memory fills. Defaults to
	// false: every policy is accepted.
	NoEviction bool

	// Replica accepts a server that is a replica, for a service that only reads. Writes
	// then fail with READONLY. It does not go with MasterName or a Cluster. Defaults to
	// false: a single server that is a replica is refused.
	Replica bool

	// MinReplicas is the number of replicas, at least 0, that a server must require for
	// its writes. Ready refuses a server whose min-replicas-to-write is lower, whose
	// min-replicas-max-lag is 0, which switches the other off, or that does not report
	// them. The user needs +info, and for 2 or more also +eval and +config|get. A primary
	// that is cut off then refuses writes within min-replicas-max-lag and 2 s. Otherwise
	// it confirms them until its clients hear of the next one, and they are lost. No
	// write waits for replicas, as those of lock.Config.Replicas do. Ready looks once:
	// on a Cluster at all nodes, with Sentinels at the primary. Set all servers alike,
	// because a replica that is promoted has its own setting. Defaults to 0: every
	// server is accepted.
	MinReplicas int

	// OnError receives the errors that no caller gets: failed attempts of Ready, and
	// passwords that cannot be read (at most one a minute while nothing changes). It
	// may be called from several goroutines at once and must not block. [NewLog] makes
	// one that logs. Defaults to nil: they are dropped, but for one line of log/slog's
	// default logger when Ready has waited for five seconds, and one a minute after that.
	OnError func(context.Context, error)

	// OnState hears each change of the circuit breaker of each node: closed, open,
	// probing. For one node the changes come in order. It is called in the midst of
	// calls, from several goroutines at once, and must not block. [NewLog] makes one that
	// logs. Defaults to nil: nobody hears.
	OnState func(NodeState)

	// Tune is called last and may change the options of go-redis. It is for what has
	// no field here. In the options MaxRetries is -1: the breaker itself sends a
	// command again that found a dead connection, and sends nothing again after a
	// time-out. Defaults to nil: nothing is changed.
	Tune func(*redis.UniversalOptions)

	silent bool // OnError was nil
}

const (
	defaultAddr     = "redis:6379"
	defaultPoolSize = 12
	// maxPoolSize is the number of ports of an address. go-redis allocates memory for
	// the whole pool at once, and panics if it is much larger.
	maxPoolSize    = 1 << 16
	defaultTimeout = 500 * time.Millisecond
	// defaultMaxWaiting is what 32 processors with 256 goroutines each do not reach. So
	// many goroutines with a request each hold some hundred megabytes.
	defaultMaxWaiting = 10_000

	defaultSecret = "/run/secrets/redis_password"
)

// complete returns c with its defaults filled in, and all that is wrong with it.
func (c Config) complete() (Config, error) {
	if len(c.Addrs) == 0 && c.MasterName == "" {
		c.Addrs = []string{defaultAddr}
	}
	if c.Password == nil {
		// This is decided once. If each connection decided it again, a file that is
		// missing for a moment would mean connections without a password.
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
	if c.MaxWaiting == 0 {
		c.MaxWaiting = defaultMaxWaiting
	}
	for _, d := range []*time.Duration{&c.DialTimeout, &c.ReadTimeout, &c.WriteTimeout, &c.PoolTimeout} {
		if *d == 0 {
			*d = defaultTimeout
		}
	}
	c.silent = c.OnError == nil
	if c.silent {
		c.OnError = func(context.Context, error) {}
	}
	return c, c.check()
}

// clientName replaces the characters that CLIENT SETNAME refuses.
func clientName(name string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, name)
}

// check reports every impossible setting of c. The defaults are filled in already.
func (c Config) check() error {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("rediskit: Config."+field+" "+format, args...))
	}
	if len(c.Addrs) == 0 {
		wrong("Addrs", "is empty; it must name the Sentinels that know the primary")
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
	case c.Replica && (isCluster || c.MasterName != ""):
		wrong("Replica", "goes with the address of one server: a Cluster and Sentinels say which server is a primary")
	case c.Cluster && c.MasterName != "":
		wrong("Cluster", "and Config.MasterName exclude each other: a Cluster has no Sentinels")
	case socket && (isCluster || c.MasterName != ""):
		wrong("Addrs", "has a Unix socket: a Cluster and Sentinels need host:port addresses")
	case socket && c.TLS != nil:
		wrong("TLS", "does not go with a Unix socket: leave it nil")
	}
	switch {
	case c.MasterName == "" && c.SentinelUsername != "":
		wrong("SentinelUsername", "needs Config.MasterName, the name under which the Sentinels know the primary")
	case c.MasterName == "" && c.SentinelPassword != nil:
		wrong("SentinelPassword", "needs Config.MasterName, the name under which the Sentinels know the primary")
	case c.SentinelUsername != "" && c.SentinelPassword == nil:
		wrong("SentinelUsername", "is set without a password: set Config.SentinelPassword")
	}
	switch {
	case c.DB < 0:
		wrong("DB", "is %d; it must be 0 or more", c.DB)
	case c.DB != 0 && isCluster:
		wrong("DB", "is %d; it must be 0, the only database of a Cluster", c.DB)
	}
	if c.PoolSize < 1 || c.PoolSize > maxPoolSize {
		wrong("PoolSize", "is %d; it must be from 1 to %d, or 0 for the default", c.PoolSize, maxPoolSize)
	}
	if c.MaxWaiting < 1 {
		wrong("MaxWaiting", "is %d; it must be 1 or more, or 0 for the default", c.MaxWaiting)
	}
	if c.MinReplicas < 0 {
		wrong("MinReplicas", "is %d; it must be a number of replicas, or 0 to accept every server", c.MinReplicas)
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
			wrong(timeout.field, "is %v; it must be 1 ms or more, or 0 for the default; a deadline on the context shortens single calls", timeout.value)
		}
	}
	return errors.Join(errs...)
}

// address returns addr in the form for go-redis: host:port, or the path of a socket.
// Its errors do not quote addr: it may be a URL with a password in it.
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
	if err != nil { // most likely it has no port
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

// options returns the options for go-redis. c is complete.
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

		// This library needs nothing of RESP3: invalidations reach a RESP2 connection
		// by CLIENT TRACKING REDIRECT. RESP2 has no push frames, so go-redis does not
		// look for them around each command. If an idle connection has something to
		// read, this can only mean that the server closed it.
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

		// go-redis dials once and sends a command once: the breaker decides what is
		// worth a second attempt. A Cluster client repeats redirected commands by
		// itself; it must not sleep for long between them.
		DialerRetries:   1,
		MaxRetries:      -1,
		MaxRetryBackoff: 50 * time.Millisecond,
	}
}
