package chaos

import (
	"fmt"
	"sync"
	"time"
)

// An invariant is something that no fault may break. It is a column of the report.
type invariant struct{ name, meaning string }

func (inv *invariant) String() string { return inv.name }

var (
	noStaleSet      = &invariant{"stale", "A read that begins after a Delete has returned gets no value from before the Delete. While Redis does not answer, it gets no value from a load that began earlier than one load time-out before the read."}
	oneLoad         = &invariant{"loads", "One member of the fleet at a time loads a list, unless the list was deleted meanwhile. While Redis does not answer, each member may load it, with one load at a time."}
	freshCopies     = &invariant{"copies", "A value from the near cache was current at most 2 s before the read, whatever happens to its connection, and at most 5 s where an address moves in silence. What a server loses because it was replaced does not count. After half a second without writes it is current. The writers do not use the cache."}
	verifiedCopies  = &invariant{"verified", "Config.Verify reads hits of the near caches again, as many as it can, and finds none that is out of date without an explanation. Checks that prove nothing, because the value has changed meanwhile or Redis did not answer, are not counted."}
	quickAnswers    = &invariant{"outages", "While the breaker is open, 99 of 100 GetOrLoads take at most 2 ms more than their loader."}
	wholeSessions   = &invariant{"partial", "A session that is changed while it expires exists with all its fields or not at all."}
	exactUpdates    = &invariant{"updates", "A count in a session is at least the number of updates that succeeded, and at most that number plus the updates with an unknown outcome."}
	kept            = &invariant{"kept", "A session whose creation all replicas of the primary have acknowledged, by Config.Replicas, is there after the fault, whichever of them takes over. One that the primary alone has acknowledged is there if no server lost its data."}
	oneWinner       = &invariant{"winners", "Of four concurrent transitions exactly one succeeds, or at most one if the outcome of another is unknown."}
	fencedLocks     = &invariant{"fences", "Operations of lock holders on registers that check fences are linearizable. Porcupine checks that."}
	exclusion       = &invariant{"holders", "No two holders consider a lock valid at the same time, unless its server may have lost the lock."}
	keptLimits      = &invariant{"limits", "No policy allows more than it says. A fixed window allows no request number twice; a sliding window and GCRA allow no more in any span. Servers that lose their counts begin again."}
	accountedEvents = &invariant{"events", "Each message that Redis accepted was received or lies in a reported gap. If all gaps have a number, the numbers add up. This holds for quick, slow and stuck readers."}
	healedEvents    = &invariant{"heals", "On a channel with a history, each reader receives each message that Redis accepted once, and those of one publisher in their order, whatever its connection went through. A gap is reported only where a server lost data or another one took over; on a Cluster, that of the channel's slot."}
	storedOnce      = &invariant{"services", "Each message that a service confirmed is in the database once, followed by its answer. Lists are answered all the time."}
	everyTTL        = &invariant{"TTLs", "Every key on the servers has a TTL."}
	grants          = &invariant{"grants", "On single servers the fleet has the user and access rules of the applications in the deploy kit, and the server denies it nothing."}
	boundedCalls    = &invariant{"calls", "Every call ends at most one second after its time-out."}
	recovery        = &invariant{"recovery", "Everything works for every member within 2 s of the fault's end. Where another server takes over, that is when it confirms writes; the network is repaired later, and that disturbs nobody."}
	noGrowth        = &invariant{"leaks", "The round leaves no goroutine behind, and no connection."}
)

var invariants = []*invariant{
	noStaleSet, oneLoad, freshCopies, verifiedCopies, quickAnswers, wholeSessions, exactUpdates, kept, oneWinner, fencedLocks, exclusion,
	keptLimits, accountedEvents, healedEvents, storedOnce, everyTTL, grants, boundedCalls, recovery, noGrowth,
}

// A ledger counts what was checked in a round, and what was violated.
type ledger struct {
	mu       sync.Mutex
	checks   map[*invariant]int
	failures map[*invariant]int
	notes    []string

	// Sessions that the primary alone has acknowledged, and those of them that the fault took.
	madeAlone, lostAlone int
}

func newLedger() *ledger {
	return &ledger{checks: map[*invariant]int{}, failures: map[*invariant]int{}}
}

// checked counts n checks of an invariant.
func (l *ledger) checked(inv *invariant, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checks[inv] += n
}

// keptAlone counts sessions that the primary alone has acknowledged.
func (l *ledger) keptAlone(made, lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.madeAlone, l.lostAlone = l.madeAlone+made, l.lostAlone+lost
}

// clockFormat is the time in notes.
const clockFormat = "15:04:05.000"

// maxNotes is how many violations of a round are described at most.
const maxNotes = 20

// violated counts and describes a violation.
func (l *ledger) violated(inv *invariant, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures[inv]++
	if len(l.notes) < maxNotes {
		l.notes = append(l.notes, fmt.Sprintf("%s %s: %s", time.Now().Format(clockFormat), inv, fmt.Sprintf(format, args...)))
	}
}
