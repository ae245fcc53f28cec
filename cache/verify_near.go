package cache

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/near"
	"github.com/convkit/rediskit/internal/sender"
	"github.com/convkit/rediskit/internal/tracking"
)

// A localCheck is a hit in this process that is to be compared with Redis.
type localCheck[V any] struct {
	entry *near.Entry[kept[V]]

	// differed is when Redis was known to hold something else, by tracking.Now. 0 says
	// that it was not asked yet.
	differed time.Duration
}

// verify checks hits. It returns those that Redis contradicts and whose change must still
// be announced.
//
// A hit is stale if a PING that was sent after the contradiction has been answered: what
// was announced before has arrived by then, and the value was not among it. No clock has to
// be right for that, and the time of the change need not be known.
func (n *nearStore[V]) verify(ctx context.Context, hits []localCheck[V]) (again []localCheck[V]) {
	found := &n.stats.verifiedLocal
	at := map[*redis.Client][]localCheck[V]{}
	var stale []*near.Entry[kept[V]]
	for _, hit := range hits {
		e := hit.entry
		announced := e.Epoch.Announced(hit.differed) // before Changed, or the announcement may come in between
		switch asked := hit.differed != 0; {
		case n.table.Changed(e.Claim):
			found.changed.Add(1)
		case asked && announced:
			stale = append(stale, e)
		case e.Epoch.Endless() || !e.Epoch.Valid(tracking.Now()):
			found.unknown.Add(1)
		case asked:
			again = append(again, hit)
		case e.Expired(tracking.Now()):
			found.unknown.Add(1)
		default:
			primary, epoch := n.tracker.Primary(ctx, n.pattern.Key(e.ID))
			if epoch != e.Epoch { // another server announces the changes of the id now
				found.unknown.Add(1)
				continue
			}
			at[primary] = append(at[primary], hit)
		}
	}
	n.dropStale(stale)
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for primary, hits := range at {
		for len(hits) > 0 {
			some := min(checkBatch, len(hits))
			again = append(again, n.compare(ctx, primary, hits[:some])...)
			hits = hits[some:]
		}
	}
	return again
}

// compare reads the values of hits, and returns the hits that they contradict. A read that
// fails is not repeated: while the breaker is open it is refused at once.
func (n *nearStore[V]) compare(ctx context.Context, primary *redis.Client, hits []localCheck[V]) (differ []localCheck[V]) {
	keys := make([]string, len(hits))
	for i, hit := range hits {
		keys[i] = n.pattern.Key(hit.entry.ID)
	}
	read := getManyBy(ctx, func(cmds []redis.Cmder) { sender.Send(ctx, primary, sender.Repeatable, cmds...) }, keys, false)
	now := tracking.Now()
	for i, hit := range hits {
		switch {
		case read[i].err != nil:
			n.stats.verifiedLocal.unknown.Add(1)
		case read[i].found && n.dataToKeep(read[i].data) == hit.entry.Value.data:
			n.stats.verifiedLocal.same.Add(1)
		case hit.entry.Expired(now): // the value has ended by itself
			n.stats.verifiedLocal.unknown.Add(1)
		default:
			hit.differed = now
			differ = append(differ, hit)
		}
	}
	return differ
}

// dropStale counts stale hits, and drops and reports each value once.
func (n *nearStore[V]) dropStale(stale []*near.Entry[kept[V]]) {
	n.stats.verifiedLocal.stale.Add(uint64(len(stale)))
	for _, e := range stale {
		if !n.table.Changed(e.Claim) {
			n.invalidate(e.ID)
			n.report.OnError(context.Background(), n.report.Fail("verify", &StaleError{Age: tracking.Now() - e.Taken}))
		}
	}
}
