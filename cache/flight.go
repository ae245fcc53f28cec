package cache

import (
	"context"
	"math"
	"strconv"
	"sync"
)

// A flight is one attempt of this process to answer a miss, shared by every
// caller that asks for the same id meanwhile.
type flight struct {
	id, key string
	in      *flights // where callers may join it

	lease lease
	token string // of the lease

	// replaces is the SHA-1 of the value that this flight may overwrite:
	// one that does not decode, or one that is renewed. Without it, only
	// absence may be filled. pttl is that value's PTTL when the lease was
	// taken, in milliseconds: the same bytes written since have more, or none.
	replaces, pttl string

	steps int // what the flight has begun so far; changed under in.mu

	done   chan struct{}
	answer answer // set before done is closed
}

// lease is how a flight stands with the fleet.
type lease int

const (
	leaseUnknown lease = iota // Redis did not say
	leaseHeld                 // another process holds it
	leaseOwned                // this flight may fill
)

// An answer is what a flight brings home.
type answer struct {
	data   []byte // the encoded value
	err    error
	absent bool // err says that there is no such value
	// before is the step at which the answer may have been out of date
	// already: callers that joined later must not take it, since they may
	// have come after a Delete that the answer does not know of.
	before int
	// blind answers come from a flight that Redis told nothing. Callers that
	// it told nothing either take them all the same, or each would load.
	blind bool
}

// forAll marks an answer that is good for every caller of its flight.
const forAll = math.MaxInt

// wait returns the flight's answer, or ctx's error if that ends first.
func (fl *flight) wait(ctx context.Context) (answer, error) {
	select {
	case <-fl.done:
		return fl.answer, nil
	default:
	}
	select {
	case <-fl.done:
		return fl.answer, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// saw notes the PTTL of the value that the flight replaces. Without a value
// the flight is a plain miss.
func (fl *flight) saw(pttl int64) {
	if pttl == -2 {
		fl.replaces = ""
	}
	if fl.replaces != "" {
		fl.pttl = strconv.FormatInt(pttl, 10)
	}
}

// begin tells that the flight is about to look at Redis or at the source:
// what it sees may be out of date for callers that join from now on.
func (fl *flight) begin() {
	fl.in.mu.Lock()
	defer fl.in.mu.Unlock()
	fl.steps++
}

// seal lets nobody else join.
func (fl *flight) seal() {
	fl.in.mu.Lock()
	defer fl.in.mu.Unlock()
	if fl.in.byID[fl.id] == fl {
		delete(fl.in.byID, fl.id)
	}
}

// land gives the answer to everyone on board.
func (fl *flight) land(a answer) {
	fl.seal()
	fl.answer = a
	close(fl.done)
}

func (fl *flight) landed() bool {
	select {
	case <-fl.done:
		return true
	default:
		return false
	}
}

// flights are the flights of one cache that a caller may still join.
type flights struct {
	mu   sync.Mutex
	byID map[string]*flight
}

// join returns the flight for id and the step at which the caller came on
// board. Whoever finds none leads a new one and must see to its end.
func (f *flights) join(id, key string) (fl *flight, step int, leads bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, ok := f.byID[id]; ok {
		return fl, fl.steps, false
	}
	fl = f.alone(id, key)
	if f.byID == nil {
		f.byID = make(map[string]*flight)
	}
	f.byID[id] = fl
	return fl, 0, true
}

// alone returns a flight that nobody can join.
func (f *flights) alone(id, key string) *flight {
	return &flight{id: id, key: key, in: f, done: make(chan struct{})}
}

// forget makes callers that come from now on start anew: the flights of ids
// may know only what was true before a Delete or a Set.
func (f *flights) forget(ids ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		delete(f.byID, id)
	}
}

func (f *flights) forgetAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.byID)
}
