package script

import (
	"context"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/pipeline"
)

// A Runner runs scripts for many callers, whose calls may share round trips.
type Runner struct {
	via    *pipeline.Combiner
	turn   chan struct{} // to send a source
	taught atomic.Uint64 // how often one was sent
}

// NewRunner returns a Runner that sends by via.
func NewRunner(via *pipeline.Combiner) *Runner {
	return &Runner{via: via, turn: make(chan struct{}, 1)}
}

// Run sends one call. Of many callers that find a server without the script,
// which then did not run, one sends it with its source; the others wait for
// that. What became of the call is in the command, unless ctx ended first: the
// error is ctx's then.
func (r *Runner) Run(ctx context.Context, delivery Delivery, call Call) (*redis.Cmd, error) {
	for {
		taught := r.taught.Load()
		cmd, err := r.send(ctx, delivery, call, call.Script.byDigest)
		if err != nil || cmd.Err() == nil || !redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") || call.Script.bySource == nil {
			return cmd, err
		}
		select {
		case r.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		mine := false
		func() {
			defer func() { <-r.turn }()      // a hook may panic
			mine = r.taught.Load() == taught // else it was sent meanwhile, if perhaps to another server
			if mine {
				cmd, err = r.send(ctx, delivery, call, call.Script.bySource)
				r.taught.Add(1)
			}
		}()
		if mine {
			return cmd, err
		}
	}
}

func (r *Runner) send(ctx context.Context, delivery Delivery, call Call, beginning []any) (*redis.Cmd, error) {
	cmd := call.command(ctx, beginning)
	return cmd, r.via.Process(ctx, call.Keys[0], deliver(cmd, delivery))
}
