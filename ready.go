package rediskit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/attach"
	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/refusal"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/sender"
)

// Ready returns once Redis has answered a client that Open made: it was dialled,
// authenticated and pinged. A server that serves but refuses PING for now, with MISCONF
// after a failed snapshot or with BUSY, has answered. A Cluster is ready when it has slots
// and at least one primary has answered: calls for the slots of those that are down fail
// as they do in any outage, and OnError hears of them.
//
// Ready tries again if waiting may help: after refused connections, unknown hosts,
// time-outs, LOADING, MASTERDOWN, CLUSTERDOWN, no free client slot, or a Cluster without
// slots. It waits 50 ms, then 100 ms and so on, up to 2 s, until ctx ends. Config.OnError
// receives the error of each failed attempt. The error of Ready then satisfies
// errors.Is(err, ctx.Err()) and contains the last cause. If ctx has no deadline, Ready
// waits without limit.
//
// Ready fails at once if waiting does not help, with an error that says what to do. Most
// of them are ErrMisconfigured, which each call returns too. A missing permission, a
// database that does not exist, and a server that MinReplicas refuses are told here only.
//
// PING at each primary; with Config.MinReplicas the commands of [Check]. A client that
// Open did not make is pinged in the same way, and its errors have no advice.
func Ready(ctx context.Context, rdb redis.UniversalClient) error {
	if err := report.Client("rediskit: ready", rdb); err != nil {
		return err
	}
	cfg, ours := attach.Of[Config](rdb)
	if !ours {
		cfg = Config{silent: true, OnError: func(context.Context, error) {}}
	}
	var last error
	patience := quietly{until: time.Now().Add(firstLine)}
	for attempt := 1; ; attempt++ {
		err := try(ctx, rdb, cfg)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil || last == nil || !isContextError(err) {
			last = err
		}
		if errors.Is(err, ErrMisconfigured) {
			return fmt.Errorf("rediskit: connecting to %s: %w", cfg.target(), err)
		}
		if ctx.Err() == nil {
			pause := backoff(attempt)
			failed := fmt.Errorf("rediskit: connecting to %s: attempt %d failed, the next one in %v: %w", cfg.target(), attempt, pause, err)
			cfg.OnError(ctx, failed)
			if cfg.silent {
				patience.say(ctx, failed)
			}
			life.Sleep(ctx, pause)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("rediskit: connecting to %s: %w during attempt %d; the last failure: %w", cfg.target(), ctx.Err(), attempt, last)
		}
	}
}

// A service that sets no OnError is told what Ready waits for after firstLine, and every
// nextLine after that: silence for ever looks like a hang.
const (
	firstLine = 5 * time.Second
	nextLine  = time.Minute
)

// quietly says at times what is waited for.
type quietly struct{ until time.Time }

func (q *quietly) say(ctx context.Context, err error) {
	if now := time.Now(); !now.Before(q.until) {
		q.until = now.Add(nextLine)
		slog.WarnContext(ctx, "waiting for Redis", "error", err)
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
	err := pingAll(ctx, rdb, cfg)
	if err == nil && cfg.MinReplicas > 0 {
		err = haveReplicas(ctx, rdb, int64(cfg.MinReplicas))
	}
	return explain(err, cfg)
}

// pingAll pings every primary. It returns an error if none answers, or if one never will.
func pingAll(ctx context.Context, rdb redis.UniversalClient, cfg Config) error {
	answered := false
	var mu sync.Mutex
	failed, err := visit(sender.Primaries(ctx, rdb), func(primary redis.UniversalClient) error {
		err := ping(ctx, primary)
		mu.Lock()
		defer mu.Unlock()
		answered = answered || err == nil
		return err
	})
	if err != nil {
		return err
	}
	for _, err := range failed {
		if err = explain(err, cfg); errors.Is(err, ErrMisconfigured) {
			return err
		}
	}
	switch {
	case answered:
		for _, err := range failed {
			cfg.OnError(ctx, fmt.Errorf("rediskit: connecting to %s: ready, but a primary does not answer: %w", cfg.target(), redact.Clean(err)))
		}
		return nil
	case len(failed) > 0:
		return failed[0]
	}
	return errNoPrimary
}

// errNoPrimary is that of a Cluster without slots. It may get them yet.
var errNoPrimary = redact.New("the Cluster has no slots yet")

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
