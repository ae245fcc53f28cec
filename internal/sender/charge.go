package sender

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// maxMerged is how many charges of one key are one call at most, so that a script stays
// short.
const maxMerged = 128

// A charge is what one caller wants from a script that takes a vector of costs. Charges of
// one key that wait for the same pipeline are one call of the script, with their costs in
// the order of arrival.
type charge struct {
	call Call
	cost any
	cmd  *redis.Cmd // with the outcome, of all whose costs it has
	at   int        // where in the vector the cost is
}

// Charge sends a script with one cost behind the arguments of call. All charges of one key
// have the same call. Others may ride in the same run of the script: reply is for all of
// them, and at is where in the vector of costs the caller's own stands.
//
// The script runs once at most, in the class Charge. If ctx ends while the charge waits, it
// is withdrawn. If the reply is lost, it is lost for all that rode together.
func (s *Sender) Charge(ctx context.Context, call Call, cost int) (reply any, at int, err error) {
	for {
		taught := s.taught.Load()
		cmd, at, err := s.charge(ctx, call, cost)
		if err != nil { // the command still belongs to a pipeline
			return nil, 0, err
		}
		if !isUnknown(cmd.Err()) {
			return cmd.Val(), at, cmd.Err()
		}
		select {
		case s.teaching <- struct{}{}:
		case <-ctx.Done():
			return nil, 0, withdrawn{ctx.Err()}
		}
		alone := call
		alone.Args = append(slices.Clip(call.Args), cost)
		if cmd := s.teach(ctx, taught, Charge, alone, nil); cmd != nil {
			return cmd.Val(), 0, cmd.Err()
		}
	}
}

// charge sends one charge by its script's digest.
func (s *Sender) charge(ctx context.Context, call Call, cost int) (cmd *redis.Cmd, at int, err error) {
	if lanes := s.lanes[Charge]; lanes != nil {
		if to := lanes.to(ctx, call.Keys[0]); to != nil {
			return to.charge(ctx, call, cost)
		}
	}
	cmd = call.byDigest(ctx, cost)
	Send(ctx, s.rdb, Charge, cmd)
	return cmd, 0, nil
}

// charge sends one charge, alone or merged with others of its key.
func (l *lane) charge(ctx context.Context, call Call, cost int) (cmd *redis.Cmd, at int, err error) {
	defer l.busy.Add(-1)
	if l.busy.Add(1) <= maxDirect || ctx.Value(inPipeline{}) != nil {
		cmd = call.byDigest(ctx, cost)
		Send(ctx, l.rdb, l.class, cmd)
		return cmd, 0, nil
	}
	if err := l.calls().Enter(ctx); err != nil {
		cmd = redis.NewCmd(ctx)
		cmd.SetErr(err)
		return cmd, 0, nil
	}
	c := &charge{call: call, cost: cost}
	r := l.request()
	r.charge, r.size = c, 1
	if err := l.ride(ctx, r); err != nil {
		return nil, 0, err
	}
	return c.cmd, c.at, nil
}

// merge makes one command for the charges of each key, in the order of arrival, and notes
// in each charge which one is its own.
func merge(requests []*request) []*redis.Cmd {
	type merged struct {
		charges []*charge
	}
	open := make(map[string]*merged, 1) // by key
	var all []*merged
	for _, r := range requests {
		if r.charge == nil {
			continue
		}
		key := r.charge.call.Keys[0]
		m := open[key]
		if m == nil || len(m.charges) == maxMerged {
			m = &merged{}
			open[key] = m
			all = append(all, m)
		}
		r.charge.at = len(m.charges)
		m.charges = append(m.charges, r.charge)
	}
	cmds := make([]*redis.Cmd, len(all))
	for i, m := range all {
		costs := make([]any, len(m.charges))
		for n, c := range m.charges {
			costs[n] = c.cost
		}
		cmds[i] = m.charges[0].call.byDigest(pipelineContext, costs...)
		for _, c := range m.charges {
			c.cmd = cmds[i]
		}
	}
	return cmds
}
