package pubsub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/sender"
	"github.com/convkit/rediskit/internal/subscriber"
)

// A spread receives the messages of a pattern on a Cluster, over a connection to each
// primary. The nodes pass on to each other what is published, so that each connection
// brings every message, once its node has it. A message counts on the connection to the
// primary of its channel's slot alone: there it is first, in order, and heard even if the
// nodes do not reach each other.
//
// Which primary that is, is held for each slot until a look at the client's map finds
// another one. From then on messages count at that one, and those that went from the one to
// the other meanwhile may be lost: that is a gap. So is a connection more or fewer.
type spread struct {
	cfg     spreadConfig
	life    *life.Life
	changed chan struct{} // holds a token once a connection is live, has failed or was refused

	mu      sync.Mutex // held while a callback runs
	nodes   map[*redis.Client]*node
	owners  map[int]owner // by slot: of those of which a message has come
	begun   bool          // all connections have been live
	failure error         // the last one of a connection
	ask     bool          // the map shows other primaries, or a connection has failed
}

// A spreadConfig has the callbacks. receive and gap run one at a time.
type spreadConfig struct {
	rdb      *redis.ClusterClient
	pattern  string
	liveness time.Duration
	receive  func(*redis.Message)
	gap      func(cause error)
	ended    func() // the client was closed
	report   func(error)
}

// A node is the connection to one primary.
type node struct {
	sub     *subscriber.Subscriber
	live    bool  // the pattern was confirmed at least once
	refused error // the last refusal of the pattern
	ended   bool  // its client was closed
}

// An owner is what the client's map said of a slot.
type owner struct {
	channel string // one of the slot
	primary redis.UniversalClient
}

// newSpread begins to connect to every primary. Before await has returned nil, no message
// is passed on.
func newSpread(cfg spreadConfig) *spread {
	s := &spread{
		cfg: cfg, life: life.New(cfg.report), changed: make(chan struct{}, 1),
		nodes: map[*redis.Client]*node{}, owners: map[int]owner{}, ask: true,
	}
	s.life.Go(context.Background(), s.watch)
	return s
}

// await returns once every primary has confirmed the pattern.
func (s *spread) await(ctx context.Context) error {
	for {
		select {
		case <-s.changed:
		case <-s.life.Context().Done():
		case <-ctx.Done():
		}
		if done, err := s.settled(ctx); done || err != nil {
			return err
		}
	}
}

// settled reports whether every connection is live, or returns why that is not waited for.
func (s *spread) settled(ctx context.Context) (done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := 0
	for _, n := range s.nodes {
		if n.refused != nil {
			return false, n.refused
		}
		if n.live {
			live++
		}
	}
	switch {
	case s.life.Ended():
		return false, context.Cause(s.life.Context())
	case live > 0 && live == len(s.nodes):
		s.begun = true
		return true, nil
	case ctx.Err() != nil && s.failure != nil:
		return false, fmt.Errorf("%w; the last failure of a connection: %w", ctx.Err(), s.failure)
	}
	return false, ctx.Err()
}

// Close ends the connections and waits for their goroutines.
func (s *spread) Close() error {
	s.life.End(ErrClosed)
	s.life.Wait(math.MaxInt64)
	return s.disconnect()
}

// disconnect closes all connections. Only their own goroutines may still run.
func (s *spread) disconnect() error {
	s.mu.Lock()
	nodes := slices.Collect(maps.Values(s.nodes))
	s.mu.Unlock()
	var errs []error
	for _, n := range nodes {
		errs = append(errs, n.sub.Close())
	}
	return errors.Join(errs...)
}

// receive passes a message on, if it came from the primary of its slot. It needs s.mu.
func (s *spread) receive(from *redis.Client, m *redis.Message) {
	slot := keys.Slot(m.Channel)
	at, known := s.owners[slot]
	if !known {
		primary, err := sender.PrimaryOf(s.life.Context(), s.cfg.rdb, m.Channel)
		if err != nil {
			return // the client has a map, since it had the primaries
		}
		at = owner{m.Channel, primary}
		s.owners[slot] = at
		if s.nodes[primary.(*redis.Client)] == nil {
			s.ask = true
		}
	}
	if s.begun && at.primary == redis.UniversalClient(from) {
		s.cfg.receive(m)
	}
}

// joined notes that a connection is live. It needs s.mu.
func (s *spread) joined(n *node) {
	if n.live {
		return
	}
	n.live, n.refused = true, nil
	s.gap(errPrimaries)
	s.wake()
}

// gap reports a gap, unless nobody can have heard anything yet. It needs s.mu.
func (s *spread) gap(cause error) {
	if s.begun {
		s.cfg.gap(cause)
	}
}

// failed takes the failure of a connection.
func (s *spread) failed(err error) {
	s.mu.Lock()
	s.failure, s.ask = err, true
	s.mu.Unlock()
	s.wake()
	s.cfg.report(err)
}

func (s *spread) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
