package rediskit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/attach"
	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/primary"
	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/refusal"
	"github.com/convkit/rediskit/secrets"
)

// ErrUnavailable is the error of a call that was refused without asking Redis, because
// five calls in a row had failed. The call was not sent and did not run. A refusal
// takes well under a microsecond. 250 ms later one caller asks Redis again.
var ErrUnavailable = breaker.ErrOpen

// ErrOverloaded is the error of a call that was refused because Config.MaxWaiting other
// calls of the client were under way. The call was not sent and did not run. A refusal
// takes well under a microsecond.
var ErrOverloaded = breaker.ErrOverloaded

// ErrMisconfigured is the error of a call, and of Ready, while the server and the
// configuration do not fit: a wrong or missing password, TLS that does not agree, a
// Cluster's node or a Sentinel in place of a plain server, a replica in place of a primary,
// or a server that Config.NoEviction refuses. The text says what to do. It is no outage.
// The call was not sent. The client asks again every 250 ms, so a mended server needs no
// restart of the service; a mended Config does.
var ErrMisconfigured = refusal.ErrMisfit

// Connect is Open and Ready together: it returns a client of the Redis that cfg describes
// once Redis has answered. If it fails, it leaves no connection and no goroutine behind.
// ctx bounds Connect only, and not the client. Its errors are those of Open and of Ready.
func Connect(ctx context.Context, cfg Config) (redis.UniversalClient, error) {
	rdb, abandon, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	ready := false
	defer func() {
		if !ready {
			abandon() // ends the dials that are under way
			_ = rdb.Close()
		}
	}()
	if err := Ready(ctx, rdb); err != nil {
		return nil, err
	}
	ready = true
	return rdb, nil
}

// Open returns a client of the Redis that cfg describes, without asking it. So a service
// starts before its Redis does, and serves at once: every call dials, and while Redis is
// away it fails as it does in any outage, after five failures without asking. What the
// service makes with the client works as soon as Redis is there. The client is go-redis's
// own, *redis.Client or *redis.ClusterClient. The caller closes it.
//
// Open fails if cfg is wrong or a password source cannot be read. What only the server can
// tell is told by Ready, and by each call: [ErrMisconfigured] if waiting does not help.
//
// Each new connection takes three round trips: HELLO together with INFO server, by
// which the client knows who the server is; HELLO once more, by go-redis; and CLIENT
// SETNAME together with SELECT. Config.NoEviction adds INFO memory to the first.
func Open(cfg Config) (redis.UniversalClient, error) {
	rdb, _, err := open(context.Background(), cfg)
	return rdb, err
}

// open makes the client without touching the network. abandon ends its dials.
func open(ctx context.Context, cfg Config) (rdb redis.UniversalClient, abandon func(), err error) {
	if cfg, err = cfg.complete(); err != nil {
		return nil, nil, err
	}
	creds := &credentials{username: cfg.Username, source: cfg.Password, onError: cfg.OnError}
	if err := creds.first(ctx); err != nil {
		return nil, nil, err
	}
	var sentinelPassword secrets.Secret
	if cfg.SentinelPassword != nil {
		if sentinelPassword, err = cfg.SentinelPassword.Read(ctx); err != nil {
			return nil, nil, fmt.Errorf("rediskit: Config.SentinelPassword: %w", err)
		}
	}
	life, abandon := context.WithCancel(context.Background())
	if rdb, err = newClient(life, cfg, creds, sentinelPassword); err != nil {
		abandon()
		return nil, nil, err
	}
	return rdb, abandon, nil
}

// newClient makes the client without touching the network.
func newClient(life context.Context, cfg Config, creds *credentials, sentinelPassword secrets.Secret) (redis.UniversalClient, error) {
	opts := cfg.options(sentinelPassword)
	opts.CredentialsProviderContext = creds.get
	if cfg.Tune != nil {
		cfg.Tune(opts)
	}
	if opts.Dialer == nil {
		opts.Dialer = dialer(life, opts.DialTimeout, opts.TLSConfig)
	}
	if opts.StreamingCredentialsProvider != nil {
		return nil, errors.New("rediskit: Config.Tune: StreamingCredentialsProvider is not supported, since a new connection is greeted before go-redis has it: set Config.Password, which is read for each connection")
	}
	if opts.MasterName != "" && (opts.ReadOnly || opts.RouteByLatency || opts.RouteRandomly || opts.IsClusterMode) {
		return nil, errors.New("rediskit: Config.Tune: with Config.MasterName all commands go to the primary: leave ReadOnly, RouteByLatency, RouteRandomly and IsClusterMode false")
	}
	rdb, watch := watched(life, cfg, opts)
	attach.To(rdb, cfg)
	breaker.Guard(rdb, breaker.Config{
		MaxWaiting: cfg.MaxWaiting, Watch: watch, OnState: tellState(cfg.OnState),
		Explain: func(err error) error { return explain(err, cfg) },
	})
	return rdb, nil
}

// watched makes the client of opts. It dials the server that counts, through the Watch
// that watch returns for each node.
func watched(life context.Context, cfg Config, opts *redis.UniversalOptions) (rdb redis.UniversalClient, watch func(*redis.Client) breaker.Watch) {
	dialing := primary.Config{
		Dial:        opts.Dialer,
		Credentials: credentialsOf(opts),
		Timeout:     opts.DialTimeout,
		Anew:        dialAnew,
		OnError:     func(err error) { cfg.OnError(context.Background(), fmt.Errorf("rediskit: %w", redact.Clean(err))) },
		Judge:       func(addr string, who primary.Peer) error { return misfit(cfg, addr, who) },
	}
	if cfg.NoEviction {
		dialing.Sections = []string{"memory"}
	}
	if !cfg.Replica {
		dialing.Replica = &refusal.Misfit{Advice: "the server is a replica: give Config the primary, or set Config.Replica to read from it"}
	}
	if opts.TLSConfig != nil {
		dialing.Anew = dialAnewTLS
	}
	if opts.MasterName == "" && (opts.IsClusterMode || len(opts.Addrs) > 1) {
		nodes := primary.NewCluster(dialing)
		opts.Dialer = until(life, nodes.Dial)
		cluster := redis.NewClusterClient(opts.Cluster())
		nodes.Attach(cluster)
		return cluster, func(node *redis.Client) breaker.Watch { return nodes.Node(node.Options().Addr) }
	}
	var one *primary.Watch
	simple := opts.Simple()
	if opts.MasterName != "" {
		one = primary.NewSentinel(dialing, primary.Sentinels{
			Name: opts.MasterName, Addrs: opts.Addrs,
			Username: opts.SentinelUsername, Password: opts.SentinelPassword,
		})
		simple.Addr = "FailoverClient" // as go-redis calls it
	} else {
		one = primary.New(dialing)
	}
	simple.Dialer = until(life, one.Dial)
	client := redis.NewClient(simple)
	one.Attach(client)
	return client, func(*redis.Client) breaker.Watch { return one }
}

// How often a look dials anew, while a near cache, a hub or a waiter follows a server
// at one address. A handshake of TLS takes a server a millisecond.
const (
	dialAnew    = 3 * time.Second
	dialAnewTLS = 30 * time.Second
)

// credentialsOf returns what go-redis would use on a new connection.
func credentialsOf(opts *redis.UniversalOptions) func(context.Context) (username, password string, err error) {
	return func(ctx context.Context) (string, string, error) {
		switch {
		case opts.CredentialsProviderContext != nil:
			return opts.CredentialsProviderContext(ctx)
		case opts.CredentialsProvider != nil:
			username, password := opts.CredentialsProvider()
			return username, password, nil
		}
		return opts.Username, opts.Password, nil
	}
}
