package ratelimit

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/pipeline"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/script"
)

// A Limiter says how often something may happen, for each id by itself. It is
// safe for concurrent use, owns no goroutine and needs no Close. Make it with
// New, once per kind of thing that is limited.
type Limiter struct {
	rdb      redis.UniversalClient
	cfg      Config
	pattern  keys.Pattern
	policies []Policy
	tightest Policy // has the smallest limit
	counts   counts
	report   *report.Reporter
	denials  *denials // nil unless Config.DenyCache
	local    *local   // nil unless Config.WhenDown is Local
	stats    counters
}

// counts is where a limiter counts: windows or a bucket.
type counts interface {
	// ask charges n to what is counted under key, if that is allowed. An n
	// of 0 only looks, and the answer is about one more.
	ask(ctx context.Context, key string, n int) (answer, error)

	// keys are all keys in which it counts.
	keys(key string) []string
}

// An answer is a decision of Redis's.
type answer struct {
	Result
	repaired int64 // keys that were put right
}

// New returns a limiter over rdb: a client of a single server, of Sentinel or
// of a Cluster. A request is allowed if every one of policies allows it. New
// sends nothing. A setting or policy that is missing or impossible is an error
// that says what would be right. A client that rediskit.Connect did not make
// should have ContextTimeoutEnabled set, or calls outlast their contexts. A
// *redis.Ring is refused.
func New(rdb redis.UniversalClient, cfg Config, policies ...Policy) (*Limiter, error) {
	if err := report.Client("ratelimit", rdb); err != nil {
		return nil, err
	}
	cfg, pattern, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	if err := checkAll(policies); err != nil {
		return nil, err
	}
	l := &Limiter{
		rdb: rdb, cfg: cfg, pattern: pattern,
		policies: append([]Policy(nil), policies...),
		tightest: policies[0],
		report:   report.New("ratelimit", cfg.Name, cfg.OnError),
	}
	for _, p := range policies {
		if p.limit() < l.tightest.limit() {
			l.tightest = p
		}
	}
	charges := script.NewRunner(pipeline.For(rdb, cfg.NoPipelining))
	if policies[0].kind == gcra {
		l.counts = newBucket(rdb, charges, policies[0])
	} else {
		l.counts = newWindows(charges, l.policies)
	}
	if cfg.DenyCache > 0 {
		l.denials = newDenials(cfg.DenyCache)
	}
	if cfg.WhenDown == Local {
		l.local = newLocal(l.policies)
	}
	return l, nil
}

// Allow is AllowN for one.
func (l *Limiter) Allow(ctx context.Context, id string) (Result, error) {
	return l.AllowN(ctx, id, 1)
}

// AllowN decides whether n requests of id, or one that costs n, may go ahead
// now, and charges them if so: all of n to every policy, or nothing to any.
// A denial is a Result and no error.
//
// It returns an error only if no decision was made: ErrEmptyID,
// ErrNotPositive, ErrExceedsLimit, ErrNotCounter, or that of ctx, which leaves
// open whether n was charged. When Redis does not answer, Config.WhenDown
// decides; the Result is then Degraded. The Result of an error allows nothing.
//
// One round trip, none for a denial that Config.DenyCache remembers: a script.
// It is never sent twice, so that a lost reply does not charge twice.
func (l *Limiter) AllowN(ctx context.Context, id string, n int) (Result, error) {
	if err := l.ready(ctx, "allow", id, n); err != nil {
		return Result{}, err
	}
	if l.denials == nil {
		res, err := l.ask(ctx, "allow", id, n)
		l.stats.count(res, err)
		return res, err
	}
	res, epoch, ok := l.denials.find(id, n)
	if ok {
		l.stats.denyCacheHits.Add(1)
		return res, nil
	}
	res, err := l.ask(ctx, "allow", id, n)
	l.stats.count(res, err)
	if err == nil && !res.Allowed && !res.Degraded {
		l.denials.remember(id, n, res, epoch)
	}
	return res, err
}

// Peek says what Allow would, without charging. It asks Redis even if
// Config.DenyCache knows a denial. Its errors are those of Allow.
//
// One round trip: a script.
func (l *Limiter) Peek(ctx context.Context, id string) (Result, error) {
	if err := l.ready(ctx, "peek", id, 1); err != nil {
		return Result{}, err
	}
	return l.ask(ctx, "peek", id, 0)
}

// Reset forgets what was charged to id, and what Config.DenyCache of this
// limiter remembers. Deny caches elsewhere, in other processes or Limiters,
// go on denying it until the RetryAfter that they were told. On an error the
// counts may still be there; resetting again is harmless.
//
// One round trip: DEL.
func (l *Limiter) Reset(ctx context.Context, id string) error {
	if err := l.ready(ctx, "reset", id, 1); err != nil {
		return err
	}
	err := l.rdb.Del(ctx, l.counts.keys(l.pattern.Key(id))...).Err()
	l.denials.forget(id)
	l.local.forget(id)
	if err != nil {
		return l.report.Redis(ctx, "reset", err)
	}
	return nil
}

// Stats returns what the limiter has counted so far.
func (l *Limiter) Stats() Stats { return l.stats.snapshot(l.report.RedisErrors()) }

// Name is Config.Name.
func (l *Limiter) Name() string { return l.cfg.Name }

// ready says whether a call may go ahead.
func (l *Limiter) ready(ctx context.Context, op, id string, n int) error {
	switch {
	case id == "":
		return l.report.Fail(op, ErrEmptyID)
	case n < 1:
		return l.report.Fail(op, ErrNotPositive)
	case n > l.tightest.limit():
		return l.report.Fail(op, ErrExceedsLimit)
	}
	if err := ctx.Err(); err != nil {
		return l.report.Fail(op, err)
	}
	return nil
}

// ask lets Redis decide, or else Config.WhenDown. An n of 0 only looks.
func (l *Limiter) ask(ctx context.Context, op, id string, n int) (Result, error) {
	a, err := l.counts.ask(ctx, l.pattern.Key(id), n)
	switch {
	case err == nil:
		if a.repaired > 0 {
			l.stats.repaired.Add(uint64(a.repaired))
		}
		return a.Result, nil
	case errors.Is(err, ErrNotCounter):
		return Result{}, l.report.Fail(op, ErrNotCounter)
	case report.End(ctx) != nil:
		return Result{}, l.report.Redis(ctx, op, err)
	}
	err = l.report.Redis(ctx, op, err)
	l.report.Tell(ctx, err)
	res := l.withoutRedis(id, n)
	res.Degraded, res.Err = true, err
	return res, nil
}

// closedRetry is what FailClosed tells a caller to wait: nobody knows.
const closedRetry = time.Second

// withoutRedis decides by Config.WhenDown.
func (l *Limiter) withoutRedis(id string, n int) Result {
	res := Result{Policy: l.tightest, Limit: l.tightest.limit()}
	switch l.cfg.WhenDown {
	case Local:
		return l.local.ask(id, n)
	case FailClosed:
		res.RetryAfter = closedRetry
	default:
		res.Allowed = true
	}
	return res
}
