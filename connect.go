package rediskit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/primary"
	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/refusal"
	"github.com/convkit/rediskit/internal/sender"
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

// Connect returns a client of the Redis that cfg describes, once Redis has answered:
// it was dialled, authenticated and pinged. On a Cluster every primary was. A server that
// serves but refuses PING for now, with MISCONF after a failed snapshot or with BUSY, has
// answered. The client is go-redis's own, *redis.Client or *redis.ClusterClient. The
// caller closes it.
//
// Connect tries again if waiting may help: after refused connections, unknown hosts,
// time-outs, LOADING, MASTERDOWN, CLUSTERDOWN, no free client slot, or a primary that is
// down. It waits 50 ms, then 100 ms and so on, up to 2 s, until ctx ends. cfg.OnError
// receives the error of each failed attempt. The error of Connect then satisfies
// errors.Is(err, ctx.Err()) and contains the last cause. If ctx has no deadline, Connect
// waits without limit. ctx bounds Connect only, and not the client.
//
// Connect fails at once if waiting does not help, with an error that says what to do:
// a bad cfg, a password source that cannot be read, a wrong or missing password, a
// missing permission, TLS that does not agree, a database that does not exist, a node
// of a Cluster or a Sentinel in place of a plain server, and a server that NoEviction or
// MinReplicas refuses.
//
// Each new connection takes three round trips: HELLO together with INFO server, by
// which the client knows who the server is; HELLO once more, by go-redis; and CLIENT
// SETNAME together with SELECT. Connect itself adds PING and HELLO, and with NoEviction
// or MinReplicas those of [Check].
func Connect(ctx context.Context, cfg Config) (redis.UniversalClient, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	creds := &credentials{username: cfg.Username, source: cfg.Password, onError: cfg.OnError}
	if err := creds.first(ctx); err != nil {
		return nil, err
	}
	var sentinelPassword secrets.Secret
	if cfg.SentinelPassword != nil {
		if sentinelPassword, err = cfg.SentinelPassword.Read(ctx); err != nil {
			return nil, fmt.Errorf("rediskit: Config.SentinelPassword: %w", err)
		}
	}

	life, abandon := context.WithCancel(context.Background())
	rdb, err := newClient(life, cfg, creds, sentinelPassword)
	if err != nil {
		abandon()
		return nil, err
	}
	connected := false
	defer func() {
		if !connected {
			abandon() // ends the dials that are under way
			_ = rdb.Close()
		}
	}()
	if err := await(ctx, rdb, cfg); err != nil {
		return nil, err
	}
	connected = true
	return rdb, nil
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
	breaker.Guard(rdb, cfg.MaxWaiting, watch)
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

// await tries until rdb is ready for use, trying again does not help, or ctx ends.
func await(ctx context.Context, rdb redis.UniversalClient, cfg Config) error {
	var last error
	for attempt := 1; ; attempt++ {
		err := try(ctx, rdb, cfg)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil || !isContextError(err) {
			last = err
		}
		var final *finalError
		if errors.As(err, &final) {
			return fmt.Errorf("rediskit: connecting to %s: %w", cfg.target(), err)
		}
		if ctx.Err() == nil {
			pause := backoff(attempt)
			cfg.OnError(ctx, fmt.Errorf("rediskit: connecting to %s: attempt %d failed, the next one in %v: %w", cfg.target(), attempt, pause, err))
			life.Sleep(ctx, pause)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("rediskit: connecting to %s: %w during attempt %d; the last failure: %w", cfg.target(), ctx.Err(), attempt, last)
		}
	}
}

func (c Config) target() string { return strings.Join(c.Addrs, ", ") }

func backoff(attempt int) time.Duration {
	return min(time.Duration(attempt)*50*time.Millisecond, 2*time.Second)
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// try makes one attempt. Its error holds no data.
func try(ctx context.Context, rdb redis.UniversalClient, cfg Config) error {
	ctx = breaker.Bypass(ctx)
	err := pingAll(ctx, rdb)
	if err == nil {
		err = isWhatWasMeant(ctx, rdb, cfg)
	}
	if err == nil {
		err = isSetAsWanted(ctx, rdb, cfg)
	}
	return explain(err, cfg)
}

// pingAll pings every primary and returns the first error.
func pingAll(ctx context.Context, rdb redis.UniversalClient) error {
	failed, err := visit(sender.Primaries(ctx, rdb), func(primary redis.UniversalClient) error {
		return ping(ctx, primary)
	})
	if err == nil && len(failed) > 0 {
		err = failed[0]
	}
	return err
}

// ping returns an error unless node answers. A refusal of a node that serves is an
// answer, if it passes: for example, a node whose snapshot failed refuses PING too.
func ping(ctx context.Context, node redis.UniversalClient) error {
	cmd := redis.NewStatusCmd(ctx, "ping")
	sender.Send(ctx, node, sender.Repeatable, cmd)
	if r, refused := refusal.Of(cmd.Err()); refused && r.Alive && r.Passes {
		return nil
	}
	return cmd.Err()
}

// visit calls f with each of nodes, side by side, and returns the errors of f, the
// earliest first. err is the error of nodes; then f was not called.
func visit(nodes iter.Seq2[redis.UniversalClient, error], f func(node redis.UniversalClient) error) (failed []error, err error) {
	var mu sync.Mutex
	visitOne := func(node redis.UniversalClient) {
		if err := f(node); err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, err)
		}
	}
	var found []redis.UniversalClient
	for node, err := range nodes {
		if err != nil {
			return nil, err
		}
		found = append(found, node)
	}
	var others sync.WaitGroup
	for i, node := range found {
		if i < len(found)-1 {
			others.Go(func() { visitOne(node) })
		} else { // a panic of a hook reaches the caller if there is one node
			visitOne(node)
		}
	}
	others.Wait()
	return failed, nil
}

func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply)
}
