package cache

import (
	"context"
	"math"
	"strconv"
	"sync"
)

// A call is one attempt of this process to answer a miss. All callers that ask for
// its id meanwhile share it: the one that started it is its leader, the others wait.
type call struct {
	id, key string
	in      *calls // where callers may join it

	lease lease
	token string // of the lease

	// replaces is the SHA-1 of the value that this call may overwrite: one that does
	// not decode, or one that is renewed. If it is empty, the call stores a value only
	// where there is none. pttl is the PTTL of the value to replace when the lease was
	// acquired, in milliseconds: the same bytes, written again since, have a longer
	// one, or none.
	replaces, pttl string

	step int // how often the call looked at Redis or at the source; under in.mu

	done   chan struct{}
	answer answer // set before done is closed
}

// An answer is the result of a call.
type answer struct {
	data   []byte // the encoded value
	err    error
	absent bool // err says that there is no such value

	// joinedBefore is the step from which on the answer may be out of date: a caller
	// that joined at that step, or later, may have come after a Delete that the answer
	// does not know of. It must not take the answer.
	joinedBefore int
	// unconfirmed says that Redis answered none of the call's commands. A caller whose
	// own read Redis did not answer either takes the answer whenever it joined; else
	// each of them would load.
	unconfirmed bool
}

// everyStep is the joinedBefore of an answer that is right for every caller.
const everyStep = math.MaxInt

// wait returns the answer of the call, or ctx's error if that ends first.
func (c *call) wait(ctx context.Context) (answer, error) {
	select {
	case <-c.done:
		return c.answer, nil
	default:
	}
	select {
	case <-c.done:
		return c.answer, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// notePTTL notes the PTTL of the value that the call replaces. -2 means that there is
// none any more; the call is a plain miss then.
func (c *call) notePTTL(pttl int64) {
	if pttl == -2 {
		c.replaces = ""
	}
	if c.replaces != "" {
		c.pttl = strconv.FormatInt(pttl, 10)
	}
}

// nextStep says that the call is about to look at Redis or at the source. What it
// finds may be out of date for callers that join from now on.
func (c *call) nextStep() {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.step++
}

// seal lets no more callers join.
func (c *call) seal() {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.in.byID[c.id] == c {
		delete(c.in.byID, c.id)
	}
}

// finish gives the answer to every caller that shares the call.
func (c *call) finish(a answer) {
	c.seal()
	c.answer = a
	close(c.done)
}

func (c *call) finished() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// calls are the calls of one cache that callers may join. The zero value is ready.
type calls struct {
	mu   sync.Mutex
	byID map[string]*call
}

// join returns the call for id and the step at which the caller joined it. If there
// is none, it makes one, of which the caller is the leader: the leader must see to it
// that the call is finished.
func (cs *calls) join(id, key string) (c *call, step int, leader bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if c, ok := cs.byID[id]; ok {
		return c, c.step, false
	}
	c = cs.alone(id, key)
	if cs.byID == nil {
		cs.byID = make(map[string]*call)
	}
	cs.byID[id] = c
	return c, 0, true
}

// alone returns a call that no other caller can join.
func (cs *calls) alone(id, key string) *call {
	return &call{id: id, key: key, in: cs, done: make(chan struct{})}
}

// forget lets callers that come from now on start new calls: those of ids may know
// only what was true before a Delete or a Set.
func (cs *calls) forget(ids ...string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, id := range ids {
		delete(cs.byID, id)
	}
}

func (cs *calls) forgetAll() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	clear(cs.byID)
}
