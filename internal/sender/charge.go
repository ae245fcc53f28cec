package sender

import (
	"context"

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
	c := &charge{call: call, cost: cost}
	for {
		taught := s.taught.Load()
		if err := s.charge(ctx, c); err != nil { // c.cmd still belongs to a pipeline
			return nil, 0, err
		}
		if !isUnknown(c.cmd.Err()) {
			return c.cmd.Val(), c.at, c.cmd.Err()
		}
		select {
		case s.teaching <- struct{}{}:
		case <-ctx.Done():
			return nil, 0, withdrawn{ctx.Err()}
		}
		if cmd := s.teach(ctx, taught, Charge, c.alone(), nil); cmd != nil {
			return cmd.Val(), 0, cmd.Err()
		}
		c = &charge{call: call, cost: cost}
	}
}

// alone returns the call with this cost alone.
func (c *charge) alone() Call {
	call := c.call
	call.Args = append(append(make([]any, 0, len(call.Args)+1), call.Args...), c.cost)
	return call
}

// charge sends one charge by its script's digest.
func (s *Sender) charge(ctx context.Context, c *charge) error {
	var to *lane
	if lanes := s.lanes[Charge]; lanes != nil {
		to = lanes.to(ctx, c.call.Keys[0])
	}
	if to == nil {
		c.cmd = c.alone().byDigest(ctx)
		Send(ctx, s.rdb, Charge, c.cmd)
		return nil
	}
	return to.charge(ctx, c)
}

// charge sends one charge, alone or merged with others of its key.
func (l *lane) charge(ctx context.Context, c *charge) error {
	defer l.busy.Add(-1)
	if l.busy.Add(1) <= maxDirect || ctx.Value(inPipeline{}) != nil {
		c.cmd = c.alone().byDigest(ctx)
		Send(ctx, l.rdb, l.class, c.cmd)
		return nil
	}
	if err := l.calls().Enter(ctx); err != nil {
		c.cmd = redis.NewCmd(ctx)
		c.cmd.SetErr(err)
		return nil
	}
	r := l.request()
	r.charge, r.size = c, 1
	return l.ride(ctx, r)
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
		call := m.charges[0].call
		args := make([]any, len(call.Args), len(call.Args)+len(m.charges))
		copy(args, call.Args)
		for _, c := range m.charges {
			args = append(args, c.cost)
		}
		call.Args = args
		cmds[i] = call.byDigest(pipelineContext)
		for _, c := range m.charges {
			c.cmd = cmds[i]
		}
	}
	return cmds
}
