package ratelimit

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/refusal"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/sender"
)

// A Limiter limits how often something may happen, for each id by itself. It is safe for
// concurrent use, owns no goroutine while nothing is under way, and needs no Close. Make
// it with New, once for each kind of thing that is limited.
type Limiter struct {
	cfg      Config
	pattern  keys.Pattern
	policies []Policy
	smallest Policy // the policy with the smallest limit
	sender   *sender.Sender
	redis    redisCounts
	local    *localCounts // nil unless Config.WhenDown is Local
	denied   *denyCache   // nil unless Config.DenyCache
	report   *report.Reporter
	stats    counters
}

// redisCounts are the counts of a limiter in Redis: windowCounts or gcraCounts.
type redisCounts interface {
	// decide charges n to the counts under key, if all of them allow it. If n is 0 it
	// charges nothing, and decides about one more request.
	decide(ctx context.Context, key string, n int) (decision, error)

	// keys returns all keys that hold the counts under key.
	keys(key string) []string
}

// A decision is a Result that Redis has decided.
type decision struct {
	Result
	repaired int64 // keys that were repaired
}

// New returns a limiter over rdb: a client of a single server, of Sentinel or of a
// Cluster. A request is allowed if every one of policies allows it. New sends nothing. It
// returns an error if a setting or a policy is missing or impossible; the error says
// what would be right. A client that rediskit.Connect did not make should have
// ContextTimeoutEnabled set, or calls outlast their contexts. A *redis.Ring is refused.
func New(rdb redis.UniversalClient, cfg Config, policies ...Policy) (*Limiter, error) {
	if err := report.Client("ratelimit", rdb); err != nil {
		return nil, err
	}
	cfg, pattern, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	if err := checkPolicies(policies); err != nil {
		return nil, err
	}
	l := &Limiter{
		cfg: cfg, pattern: pattern,
		policies: append([]Policy(nil), policies...),
		smallest: policies[0],
		sender:   sender.New(rdb, cfg.NoPipelining),
		report:   report.New("ratelimit", cfg.Name, cfg.OnError),
	}
	for _, p := range policies {
		if p.limit() < l.smallest.limit() {
			l.smallest = p
		}
	}
	if policies[0].kind == gcra {
		l.redis = newGCRACounts(l.sender, policies[0])
	} else {
		l.redis = newWindowCounts(l.sender, l.policies)
	}
	if cfg.DenyCache > 0 {
		l.denied = newDenyCache(cfg.DenyCache)
	}
	if cfg.WhenDown == Local {
		l.local = newLocalCounts(l.policies)
	}
	return l, nil
}

// Allow is AllowN for one request.
func (l *Limiter) Allow(ctx context.Context, id string) (Result, error) {
	return l.AllowN(ctx, id, 1)
}

// AllowN decides whether n requests of id, or one that costs n, may go ahead now, and
// charges them if so: all of n to every policy, or nothing to any. A denial is a Result
// and no error.
//
// It returns an error only if no decision was made: ErrEmptyID, ErrNotPositive,
// ErrExceedsLimit, ErrNotCounter, the error of ctx, which leaves open whether n was
// charged, or a refusal that stays until somebody mends the configuration, such as a
// missing permission or a wrong password. When Redis does not answer, or refuses for now,
// Config.WhenDown decides, and the Result is Degraded. The Result of an error allows nothing.
//
// One round trip: a script. None for a denial that Config.DenyCache remembers. Calls for one
// id that wait at the same moment, up to 128, are one run of the script. It decides them in
// the order of arrival, and each gets the Result that it would have got alone. The script
// is never sent twice, so that a lost reply does not charge twice. It is lost for all whose
// run it was.
func (l *Limiter) AllowN(ctx context.Context, id string, n int) (Result, error) {
	if err := l.check(ctx, "allow", id, n); err != nil {
		return Result{}, err
	}
	if l.denied == nil {
		res, err := l.decide(ctx, "allow", id, n)
		l.stats.count(res, err)
		return res, err
	}
	res, generation, ok := l.denied.get(id, n)
	if ok {
		l.stats.denyCacheHits.Add(1)
		return res, nil
	}
	res, err := l.decide(ctx, "allow", id, n)
	l.stats.count(res, err)
	if err == nil && !res.Allowed && !res.Degraded {
		l.denied.put(id, n, res, generation)
	}
	return res, err
}

// Peek returns what Allow would, without charging. It asks Redis even if Config.DenyCache
// remembers a denial. Its errors are those of Allow.
//
// One round trip: a script.
func (l *Limiter) Peek(ctx context.Context, id string) (Result, error) {
	if err := l.check(ctx, "peek", id, 1); err != nil {
		return Result{}, err
	}
	return l.decide(ctx, "peek", id, 0)
}

// Reset removes everything that was charged to id, and the denial that Config.DenyCache
// of this limiter remembers. The deny caches of other processes and Limiters still deny
// id until the RetryAfter that they remember. After an error the counts may still be
// there; it is harmless to reset again.
//
// One round trip: DEL.
func (l *Limiter) Reset(ctx context.Context, id string) error {
	if err := l.check(ctx, "reset", id, 1); err != nil {
		return err
	}
	err := l.delete(ctx, l.pattern.Key(id))
	l.denied.remove(id)
	l.local.remove(id)
	if err != nil {
		return l.report.Redis(ctx, "reset", err)
	}
	return nil
}

// delete deletes the counts under key.
func (l *Limiter) delete(ctx context.Context, key string) error {
	args := []any{"del"}
	for _, k := range l.redis.keys(key) {
		args = append(args, k)
	}
	del := redis.NewIntCmd(ctx, args...)
	if err := l.sender.Do(ctx, sender.Repeatable, key, del); err != nil {
		return err
	}
	return del.Err()
}

// Stats returns what the limiter has counted so far.
func (l *Limiter) Stats() Stats { return l.stats.snapshot(l.report.RedisErrors()) }

// Name returns Config.Name.
func (l *Limiter) Name() string { return l.cfg.Name }

// check returns an error if a call must not be sent.
func (l *Limiter) check(ctx context.Context, op, id string, n int) error {
	switch {
	case id == "":
		return l.report.Fail(op, ErrEmptyID)
	case n < 1:
		return l.report.Fail(op, ErrNotPositive)
	case n > l.smallest.limit():
		return l.report.Fail(op, ErrExceedsLimit)
	}
	if err := ctx.Err(); err != nil {
		return l.report.Fail(op, err)
	}
	return nil
}

// decide lets Redis decide, or else Config.WhenDown. If n is 0 it charges nothing.
func (l *Limiter) decide(ctx context.Context, op, id string, n int) (Result, error) {
	d, err := l.redis.decide(ctx, l.pattern.Key(id), n)
	switch {
	case err == nil:
		if d.repaired > 0 {
			l.stats.repaired.Add(uint64(d.repaired))
		}
		return d.Result, nil
	case errors.Is(err, ErrNotCounter):
		return Result{}, l.report.Fail(op, ErrNotCounter)
	case report.End(ctx) != nil, isMistake(err):
		return Result{}, l.report.Redis(ctx, op, err)
	}
	err = l.report.Redis(ctx, op, err)
	l.report.OnError(ctx, err)
	res := l.decideWithoutRedis(id, n)
	res.Degraded, res.Err = true, err
	return res, nil
}

// isMistake reports whether err is of a configuration that somebody must mend. It is no
// outage: a limiter that may not ask would otherwise allow everything for ever.
func isMistake(err error) bool {
	r, refused := refusal.Of(err)
	return refused && !r.Passes || errors.Is(err, refusal.ErrMisfit)
}

// failClosedRetry is the RetryAfter of FailClosed: a guess, since nobody knows when Redis
// is back.
const failClosedRetry = time.Second

// decideWithoutRedis decides by Config.WhenDown.
func (l *Limiter) decideWithoutRedis(id string, n int) Result {
	res := Result{Policy: l.smallest, Limit: l.smallest.limit()}
	switch l.cfg.WhenDown {
	case Local:
		return l.local.decide(id, n)
	case FailClosed:
		res.RetryAfter = failClosedRetry
	default:
		res.Allowed = true
	}
	return res
}
