package rediskit

import (
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
)

// A State is that of a circuit breaker.
type State int

const (
	// StateClosed means that calls are sent.
	StateClosed State = iota
	// StateOpen means that calls are refused, with ErrUnavailable or ErrMisconfigured.
	StateOpen
	// StateProbing means that calls are refused while one of them pings the server.
	StateProbing
)

// String returns closed, open or probing.
func (s State) String() string { return breaker.State(s).String() }

// A NodeState is the state of the circuit breaker of one node.
type NodeState struct {
	Addr   string // as the client dials it; with Sentinels "FailoverClient"
	State  State
	Reason error // why the breaker opened last, without data; nil if it never did
}

// States returns the state of each node that rdb has talked to, by address. It is empty
// for a client that Open or Connect did not make. It sends nothing.
func States(rdb redis.UniversalClient) []NodeState {
	known, _ := breaker.States(rdb)
	states := make([]NodeState, len(known))
	for i, s := range known {
		states[i] = nodeState(s)
	}
	return states
}

func nodeState(s breaker.NodeState) NodeState {
	return NodeState{Addr: s.Addr, State: State(s.State), Reason: s.Reason}
}

// tellState returns onState in the form of package breaker.
func tellState(onState func(NodeState)) func(breaker.NodeState) {
	if onState == nil {
		return nil
	}
	return func(s breaker.NodeState) { onState(nodeState(s)) }
}
