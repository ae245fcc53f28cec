package subscriber

import (
	"context"
	"sync"
)

// A topic is a channel or a pattern.
type topic struct {
	pattern bool
	name    string
}

func topicsOf(names []string, pattern bool) []topic {
	topics := make([]topic, len(names))
	for i, name := range names {
		topics[i] = topic{pattern, name}
	}
	return topics
}

// An interest is one topic that callers want, from its first user to its last.
type interest struct {
	users     int
	settled   chan struct{} // closed by the first confirmation, or a refusal
	refused   error         // set before settled is closed
	confirmed bool          // at least once: from then on its absence is a gap
}

// A change is a topic that may need a command.
type change struct {
	topic topic
	in    *interest // nil if the topic is not wanted any more
}

// topics are the topics that callers want. It knows nothing of connections: each
// session brings its own to what is wanted.
type topics struct {
	wake chan struct{} // holds a token while changed may hold something

	mu      sync.Mutex
	wanted  map[topic]*interest
	changed []topic // since changes or all was called
}

func newTopics() *topics {
	return &topics{wake: make(chan struct{}, 1), wanted: map[topic]*interest{}}
}

// want adds a user of t.
func (ts *topics) want(t topic) *interest {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	in := ts.wanted[t]
	if in == nil {
		in = &interest{settled: make(chan struct{})}
		ts.wanted[t] = in
		ts.change(t)
	}
	in.users++
	return in
}

// release removes a user of t. With only, it does nothing if the topic's interest is
// another one by now.
func (ts *topics) release(t topic, only *interest) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	in := ts.wanted[t]
	if in == nil || only != nil && in != only {
		return
	}
	if in.users--; in.users == 0 {
		delete(ts.wanted, t)
		ts.change(t)
	}
}

// change needs ts.mu.
func (ts *topics) change(t topic) {
	ts.changed = append(ts.changed, t)
	select {
	case ts.wake <- struct{}{}:
	default:
	}
}

// await returns true once a topic is wanted, false if ctx has ended.
func (ts *topics) await(ctx context.Context) bool {
	for ctx.Err() == nil {
		ts.mu.Lock()
		wanted := len(ts.wanted) > 0
		ts.mu.Unlock()
		if wanted {
			return true
		}
		select {
		case <-ts.wake:
		case <-ctx.Done():
		}
	}
	return false
}

// changes returns what has changed since the last call of changes or all.
func (ts *topics) changes() []change {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	changes := make([]change, len(ts.changed))
	for i, t := range ts.changed {
		changes[i] = change{t, ts.wanted[t]}
	}
	ts.changed = ts.changed[:0]
	return changes
}

// all returns every topic that is wanted, as changes for a new connection.
func (ts *topics) all() []change {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	ts.changed = ts.changed[:0]
	changes := make([]change, 0, len(ts.wanted))
	for t, in := range ts.wanted {
		changes = append(changes, change{t, in})
	}
	return changes
}

// confirm wakes the callers that wait for these interests.
func (ts *topics) confirm(interests []*interest) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, in := range interests {
		if !in.confirmed && in.refused == nil {
			in.confirmed = true
			close(in.settled)
		}
	}
}

// anyConfirmed reports whether a topic is wanted that was confirmed at least once.
func (ts *topics) anyConfirmed() bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for _, in := range ts.wanted {
		if in.confirmed {
			return true
		}
	}
	return false
}

// refuse ends the wait for a topic with the server's refusal. It returns false, and
// does nothing, if the topic was confirmed before: callers rely on it then.
func (ts *topics) refuse(t topic, in *interest, refusal error) bool {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if in.confirmed {
		return false
	}
	in.refused = clean(refusal)
	close(in.settled)
	if ts.wanted[t] == in {
		delete(ts.wanted, t)
		ts.change(t)
	}
	return true
}

// refuseAll refuses every topic that was not confirmed before.
func (ts *topics) refuseAll(refusal error) {
	for _, c := range ts.all() {
		ts.refuse(c.topic, c.in, refusal)
	}
}
