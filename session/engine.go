package session

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/pipeline"
	"github.com/convkit/rediskit/internal/report"
	"github.com/convkit/rediskit/internal/script"
)

//go:embed session.lua
var preludeLua string

//go:embed create.lua
var createLua string

//go:embed put.lua
var putLua string

//go:embed touch.lua
var touchLua string

//go:embed update.lua
var updateLua string

//go:embed transition.lua
var transitionLua string

//go:embed delete.lua
var deleteLua string

var (
	createScript     = script.New(preludeLua + createLua)
	putScript        = script.New(preludeLua + putLua)
	touchScript      = script.New(preludeLua + touchLua)
	updateScript     = script.New(preludeLua + updateLua)
	transitionScript = script.New(preludeLua + transitionLua)
	deleteScript     = script.New(preludeLua + deleteLua)
)

// The statuses that scripts return.
const (
	done     = "done"
	absent   = "absent"
	exists   = "exists"
	conflict = "conflict"
	refused  = "refused"
)

const (
	// untilField holds the end of a session by MaxLifetime.
	untilField = "_until"
	// kindOp begins the kind of the siblings that record operations; the
	// operation's token follows.
	kindOp = "op-"

	// An operation may run from slack before it was sent until window after,
	// by the server's clock. A copy that is stuck for longer is refused, so
	// that a record need not be kept for ever to be right.
	window = 10 * time.Second
	slack  = time.Second
	// recordTTL is how long the record of an operation is kept. It must
	// outlive window, even after a step back of the server's clock.
	recordTTL = 30 * time.Second

	// attempts bounds how often an operation is sent anew because the
	// server's clock was not what the store thought.
	attempts = 3
)

// An engine sends operations. It knows sessions only as hashes.
type engine struct {
	rdb     redis.UniversalClient
	reads   *pipeline.Combiner
	cfg     Config
	pattern keys.Pattern
	touch   string // the field that holds the last activity
	report  *report.Reporter
	clock   clock
	stats   counters
}

// An operation is one change of one session.
type operation struct {
	name   string // for errors
	id     string
	script *script.Script
	twice  bool  // it may run twice
	args   []any // the script's own
}

// A reply is what a script returned.
type reply struct {
	status string
	now    int64
	hash   map[string]string
}

// run sends an operation so that it runs once. If its reply was lost, a second
// copy asks: it finds the record of the first, or takes its place. The one that
// comes last, however late, finds the record of the other or is out of its
// time.
func (e *engine) run(ctx context.Context, o operation) (reply, error) {
	if err := e.ready(ctx, o.name, o.id); err != nil {
		return reply{}, err
	}
	for range attempts {
		sent := time.Now()
		call := e.call(o)
		r, err := e.send(ctx, call)
		lost := script.MayHaveRun(err) // no script of this package fails once it has written
		if lost {
			if report.End(ctx) != nil {
				return r, e.uncertain(o.name, e.cause(ctx, o.name, err))
			}
			e.stats.resent.Add(1)
			first := e.report.Redis(ctx, o.name, err)
			call.Args[resentArg] = 1
			if r, err = e.send(ctx, call); err != nil {
				return r, e.uncertain(o.name, e.cause(ctx, o.name, err))
			}
			e.report.Tell(ctx, first)
		}
		if err != nil {
			return r, e.failed(ctx, o.name, err)
		}
		if r.status != refused {
			return r, nil
		}
		// Nothing was done, and the clock is right now. Only where a first copy
		// may run yet, or has run so long ago that its record is gone, is that
		// not certain.
		if lost && (r.now < call.Args[notBeforeArg].(int64) || time.Since(sent) > recordTTL-window) {
			return r, e.uncertain(o.name, errLate)
		}
	}
	return reply{}, e.report.Fail(o.name, errLate)
}

var errLate = errors.New("the operation reached Redis too late and was refused; look for a stalled server or network, or a clock that jumps")

// Indices into the arguments of every script.
const (
	notBeforeArg = 3
	resentArg    = 6
)

func (e *engine) call(o operation) script.Call {
	key, now := e.pattern.Key(o.id), e.clock.now()
	c := script.Call{
		Script: o.script,
		Keys:   []string{key},
		Args: append([]any{
			e.cfg.TTL.Milliseconds(), e.cfg.MaxLifetime.Milliseconds(), e.touch,
			now - slack.Milliseconds(), now + window.Milliseconds(), recordTTL.Milliseconds(), 0,
		}, o.args...),
	}
	if !o.twice {
		c.Keys = append(c.Keys, keys.Sibling(kindOp+rand.Text(), key))
	}
	return c
}

func (e *engine) send(ctx context.Context, call script.Call) (reply, error) {
	parts, err := script.Run(ctx, e.rdb, script.Once, call)[0].Slice()
	if err != nil {
		return reply{}, err
	}
	r, ok := parseReply(parts)
	if !ok {
		return reply{}, script.ErrReply
	}
	e.clock.learn(r.now)
	return r, nil
}

func parseReply(parts []any) (r reply, ok bool) {
	if len(parts) != 2 && len(parts) != 3 {
		return r, false
	}
	r.status, _ = parts[0].(string)
	r.now, _ = parts[1].(int64)
	switch r.status {
	case done, absent, exists, conflict, refused:
		ok = r.now > 0
	}
	if !ok || len(parts) == 2 {
		return r, ok
	}
	fields, ok := parts[2].([]any)
	if !ok || len(fields)%2 != 0 {
		return r, false
	}
	r.hash = make(map[string]string, len(fields)/2)
	for pair := range slices.Chunk(fields, 2) {
		name, isName := pair[0].(string)
		text, isText := pair[1].(string)
		if !isName || !isText {
			return r, false
		}
		r.hash[name] = text
	}
	return r, true
}

// read sends one HGETALL.
func (e *engine) read(ctx context.Context, op, id string) (map[string]string, error) {
	if err := e.ready(ctx, op, id); err != nil {
		return nil, err
	}
	key := e.pattern.Key(id)
	cmd := redis.NewMapStringStringCmd(ctx, "hgetall", key)
	err := e.reads.Process(ctx, key, cmd)
	if err == nil {
		err = cmd.Err()
	}
	if err != nil {
		return nil, e.failed(ctx, op, err)
	}
	return cmd.Val(), nil
}

// ready says whether a call may go ahead.
func (e *engine) ready(ctx context.Context, op, id string) error {
	if id == "" {
		return e.report.Fail(op, ErrEmptyID)
	}
	if err := ctx.Err(); err != nil {
		return e.report.Fail(op, err)
	}
	return nil
}

func (e *engine) failed(ctx context.Context, op string, err error) error {
	if isWrongType(err) {
		return e.report.Fail(op, ErrWrongType)
	}
	return e.report.Redis(ctx, op, err)
}

func isWrongType(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer) && strings.Contains(err.Error(), "WRONGTYPE ") // of a script not always at the beginning
}

// cause is what of err may be told.
func (e *engine) cause(ctx context.Context, op string, err error) error {
	return errors.Unwrap(e.report.Redis(ctx, op, err))
}

func (e *engine) uncertain(op string, cause error) error {
	e.stats.uncertain.Add(1)
	return e.report.Fail(op, fmt.Errorf("%w: %w", ErrUncertain, cause))
}

// ended says whether a session has outlived its MaxLifetime.
func (e *engine) ended(hash map[string]string) bool {
	text, ok := hash[untilField]
	if !ok {
		return false
	}
	deadline, err := strconv.ParseUint(text, 10, 63)
	return err == nil && int64(deadline) <= e.clock.now()
}
