package chaos

import (
	"fmt"
	"sync"
	"time"
)

// An invariant is something that no fault may break: a column of the report.
type invariant struct{ name, meaning string }

func (inv *invariant) String() string { return inv.name }

var (
	noStaleSet    = &invariant{"stale", "Whoever asks the cache after a Delete has returned gets nothing from before it; while Redis does not answer, nothing from a load that began a load's time-out before the question."}
	oneLoad       = &invariant{"loads", "A list is loaded by one member of the fleet at a time unless it was deleted meanwhile; while Redis does not answer, once per member."}
	freshCopies   = &invariant{"copies", "What the near cache answers was current 2 s before at the latest, whatever happens to its connection, and after half a second without writes it is current. Those who write know nothing of the cache."}
	quickAnswers  = &invariant{"outages", "While the breaker is open, 99 of 100 GetOrLoads take their loader's time and 2 ms at most."}
	wholeSessions = &invariant{"zombies", "A session that is changed while it expires is there with all its fields or not at all."}
	exactUpdates  = &invariant{"updates", "A count in a session is that of the updates that succeeded, and at most that of those with unknown outcome too."}
	oneWinner     = &invariant{"winners", "Of four racing transitions exactly one wins; at most one if the outcome of another is unknown."}
	fencedLocks   = &invariant{"fences", "Operations of lock holders on registers that know fences are linearizable, by porcupine."}
	exclusion     = &invariant{"holders", "No two holders trust a lock at one time, unless its server may have lost it."}
	keptLimits    = &invariant{"limits", "No policy admits more than it says: a fixed window no turn twice, a sliding window and GCRA no more in any span. Servers that lose their counts begin anew."}
	toldEvents    = &invariant{"events", "Each message that Redis took was received, or lies where a gap was told; without an unknown gap the numbers add up. Quick, slow and stuck readers."}
	storedOnce    = &invariant{"services", "Each message that a service confirmed is in the database once, followed by its answer, and lists are answered throughout."}
	everyTTL      = &invariant{"TTLs", "Every key on the servers has a TTL."}
	grants        = &invariant{"grants", "On single servers the fleet is the applications of the deploy kit, with its access rules, and is denied nothing."}
	boundedCalls  = &invariant{"calls", "Every call ends within its time-out and a second."}
	recovery      = &invariant{"recovery", "Everything works for everybody within 2 s of the fault's end."}
	noGrowth      = &invariant{"leaks", "The round leaves no goroutine, and on the server no connection, behind."}
)

var invariants = []*invariant{
	noStaleSet, oneLoad, freshCopies, quickAnswers, wholeSessions, exactUpdates, oneWinner, fencedLocks, exclusion,
	keptLimits, toldEvents, storedOnce, everyTTL, grants, boundedCalls, recovery, noGrowth,
}

// A ledger is what was checked in a round, and what was found.
type ledger struct {
	mu       sync.Mutex
	checks   map[*invariant]int
	failures map[*invariant]int
	notes    []string
}

func newLedger() *ledger {
	return &ledger{checks: map[*invariant]int{}, failures: map[*invariant]int{}}
}

// checked counts n looks at an invariant.
func (l *ledger) checked(inv *invariant, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.checks[inv] += n
}

// maxNotes is how many violations of a round are told in words.
const maxNotes = 20

// violated counts and describes a violation.
func (l *ledger) violated(inv *invariant, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures[inv]++
	if len(l.notes) < maxNotes {
		l.notes = append(l.notes, fmt.Sprintf("%s %s: %s", time.Now().Format("15:04:05.000"), inv, fmt.Sprintf(format, args...)))
	}
}
