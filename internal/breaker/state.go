package breaker

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"weak"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/attach"
	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/refusal"
)

// State says whether a Breaker lets calls through.
type State int

const (
	// Closed means that calls are sent.
	Closed State = iota
	// Open means that calls are refused.
	Open
	// Probing means that calls are refused while one of them pings the node.
	Probing
)

func (s State) String() string { return [...]string{"closed", "open", "probing"}[s] }

// A NodeState is the state of the Breaker of one node.
type NodeState struct {
	Addr   string
	State  State
	Reason error // why it opened last, without data; nil if it never did
}

// change moves b from one state to another, and tells OnState. It returns false if b was
// in a third one. A reason is why it opens.
func (b *Breaker) change(from, to int64, reason error) bool {
	if b.state.Load() != from {
		return false // of many callers only one waits for the lock
	}
	b.changing.Lock()
	defer b.changing.Unlock()
	if b.state.Load() != from {
		return false
	}
	if reason != nil {
		b.reason.Store(&reason)
	}
	b.state.Store(to)
	if b.onState != nil {
		b.onState(b.snapshot())
	}
	return true
}

// snapshot returns the state of b.
func (b *Breaker) snapshot() NodeState {
	s := NodeState{Addr: b.addr}
	switch b.state.Load() {
	case closed:
	case probing:
		s.State = Probing
	default:
		s.State = Open
	}
	if reason := b.reason.Load(); reason != nil {
		s.Reason = *reason
	}
	return s
}

// cause returns why a call or a ping failed, without data.
func cause(err error) error {
	if dial, ok := errors.AsType[*dialError](err); ok {
		err = dial.err
	}
	return redact.Clean(err)
}

// nodes are the Breakers of one client. A node that the client has dropped is dropped
// here too, once its memory is collected.
type nodes struct {
	mu  sync.Mutex
	all []weak.Pointer[Breaker]
}

func (n *nodes) add(b *Breaker) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, weak.Make(b))
}

// states returns the states of the nodes that still exist, by address.
func (n *nodes) states() []NodeState {
	n.mu.Lock()
	defer n.mu.Unlock()
	var states []NodeState
	n.all = slices.DeleteFunc(n.all, func(p weak.Pointer[Breaker]) bool {
		b := p.Value()
		if b != nil {
			states = append(states, b.snapshot())
		}
		return b == nil
	})
	slices.SortFunc(states, func(a, b NodeState) int { return cmp.Compare(a.Addr, b.Addr) })
	return states
}

// States returns the states of the nodes that rdb has talked to, by address, and false if
// Guard did not guard it. It sends nothing.
func States(rdb redis.UniversalClient) ([]NodeState, bool) {
	all, ok := attach.Of[*nodes](rdb)
	if !ok {
		return nil, false
	}
	return all.states(), true
}

// Reasons are the words that ReasonWord returns.
var Reasons = []string{"misconfigured", "timeout", "hung-up", "refused", "unreachable"}

// ReasonWord returns why a breaker opened, in one word.
func ReasonWord(reason error) string {
	switch reply := redis.Error(nil); {
	case errors.Is(reason, refusal.ErrMisfit):
		return "misconfigured"
	case TimedOut(reason):
		return "timeout"
	case cut(reason):
		return "hung-up"
	case errors.As(reason, &reply):
		return "refused"
	}
	return "unreachable"
}
