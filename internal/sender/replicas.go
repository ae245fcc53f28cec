package sender

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/report"
)

// Replicas says how many replicas must have a write, and how long they may take.
type Replicas struct {
	N       int // 0 for none
	Timeout time.Duration
}

// Complete fills in the default of Timeout and checks what a Config of the package pkg
// has in its field Replicas.
func (r Replicas) Complete(pkg string, rdb redis.UniversalClient, byDefault time.Duration) (Replicas, error) {
	if r.Timeout == 0 {
		r.Timeout = byDefault
	}
	limit := readTimeout(rdb)
	switch {
	case r.N < 0:
		return r, fmt.Errorf("%s: Config.Replicas.N is %d; it must be a number of replicas, or 0 for none", pkg, r.N)
	case r.Timeout < time.Millisecond: // WAIT takes 0 ms for no end
		return r, fmt.Errorf("%s: Config.Replicas.Timeout is %v; it must be at least 1ms, or 0 for %v", pkg, r.Timeout, byDefault)
	case r.N > 0 && limit > 0 && r.Timeout >= limit:
		return r, fmt.Errorf("%s: Config.Replicas.Timeout is %v; it must be shorter than the client's ReadTimeout, %v", pkg, r.Timeout, limit)
	}
	return r, nil
}

// readTimeout returns that of rdb, 0 if it has none or does not say.
func readTimeout(rdb redis.UniversalClient) time.Duration {
	switch rdb := rdb.(type) {
	case *redis.Client:
		return rdb.Options().ReadTimeout
	case *redis.ClusterClient:
		return rdb.Options().ReadTimeout
	}
	return 0
}

// Wait returns the command that waits for the replicas; none if N is 0. It goes behind a
// write, in the class Pinned: a WAIT waits only for what the server had written when the
// last command before it on its own connection ran. It is never within MULTI, where it
// does not wait.
func (r Replicas) Wait(ctx context.Context) []redis.Cmder {
	if r.N == 0 {
		return nil
	}
	return []redis.Cmder{redis.NewIntCmd(ctx, "wait", r.N, r.Timeout.Milliseconds())}
}

// Missing returns why the reply to wait, which Wait returned for ctx, does not show that
// the replicas have the write. It is nil if the reply does, or if N is 0.
func (r Replicas) Missing(ctx context.Context, to *report.Reporter, wait []redis.Cmder) error {
	if len(wait) == 0 {
		return nil
	}
	got := wait[0].(*redis.IntCmd)
	switch err := got.Err(); {
	case err != nil:
		return to.Cause(ctx, err)
	case got.Val() < int64(r.N):
		return fmt.Errorf("%d of %d did within %v", got.Val(), r.N, r.Timeout)
	}
	return nil
}
