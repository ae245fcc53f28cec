package near

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/tracking"
)

func put[V any](t *Table[V], id string, v V) {
	t.Put(t.Claim(id, tracking.Forever), v, tracking.Now()+time.Hour)
}

func TestAValueThatWasPutIsFound(t *testing.T) {
	t.Parallel()
	table := New[int](100)
	put(table, "1", 1)
	if v := table.Get("1"); v == nil || v.Value != 1 {
		t.Errorf("got %v", v)
	}
	if v := table.Get("2"); v != nil {
		t.Errorf("got %d for an id without a value", v.Value)
	}
	table.Invalidate("1")
	if v := table.Get("1"); v != nil || table.Len() != 0 {
		t.Errorf("got %v, %d values, after an invalidation", v, table.Len())
	}
}

func TestAClaimFromBeforeAnInvalidationIsVoid(t *testing.T) {
	t.Parallel()
	for name, invalidate := range map[string]func(*Table[int]){
		"of the id": func(table *Table[int]) { table.Invalidate("1") },
		"of all":    func(table *Table[int]) { table.InvalidateAll() },
	} {
		table := New[int](100)
		claim := table.Claim("1", tracking.Forever)
		invalidate(table)
		table.Put(claim, 1, tracking.Now()+time.Hour)
		if v := table.Get("1"); v != nil || table.Len() != 0 {
			t.Errorf("got %v after an invalidation %s", v, name)
		}
	}
}

func TestAnEntryKnowsWhetherItsIDWasInvalidated(t *testing.T) {
	t.Parallel()
	for name, invalidate := range map[string]func(*Table[int]){
		"of the id": func(table *Table[int]) { table.Invalidate("1") },
		"of all":    func(table *Table[int]) { table.InvalidateAll() },
	} {
		table := New[int](100)
		put(table, "1", 1)
		e := table.Get("1")
		if table.Changed(e.Claim) {
			t.Error("changed without an invalidation")
		}
		invalidate(table)
		put(table, "1", 1)
		if !table.Changed(e.Claim) || table.Changed(table.Get("1").Claim) {
			t.Errorf("only the entry from before an invalidation %s has changed", name)
		}
	}
}

func TestAnEvictedEntryHasNotChanged(t *testing.T) {
	t.Parallel()
	table := New[int](1)
	put(table, "1", 1)
	e := table.Get("1")
	for i := 2; table.Get("1") != nil; i++ {
		put(table, fmt.Sprint(i), i)
	}
	if table.Changed(e.Claim) || e.Expired(tracking.Now()) {
		t.Error("an eviction says nothing of the value")
	}
}

func TestPutDoesNotReplaceAValidValue(t *testing.T) {
	t.Parallel()
	table := New[int](100)
	older := table.Claim("1", tracking.Forever)
	put(table, "1", 2)
	table.Put(older, 1, tracking.Now()+time.Hour)
	if v := table.Get("1"); v == nil || v.Value != 2 || table.Len() != 1 {
		t.Errorf("got %v of %d", v, table.Len())
	}
}

func TestNoValueOutlivesItsDeadline(t *testing.T) {
	t.Parallel()
	table := New[int](100)
	deadline := tracking.Now() + 20*time.Millisecond
	table.Put(table.Claim("1", tracking.Forever), 1, deadline)
	for range 1000 {
		late := tracking.Now() >= deadline
		if v := table.Get("1"); late && v != nil {
			t.Fatal("a value after its deadline")
		} else if late {
			put(table, "1", 2) // in the place of the old one
			if v := table.Get("1"); v == nil || v.Value != 2 || table.Len() != 1 {
				t.Errorf("got %v of %d", v, table.Len())
			}
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Error("the deadline did not come")
}

func TestNothingIsKeptWithoutAnEpoch(t *testing.T) {
	t.Parallel()
	table := New[int](100)
	table.Put(table.Claim("1", nil), 1, tracking.Now()+time.Hour)
	table.Put(Claim{}, 1, tracking.Now()+time.Hour)
	if table.Len() != 0 {
		t.Error("a value without an epoch was kept")
	}
}

func TestThereAreNeverMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2, 7, 100} {
		table := New[int](limit)
		for i := range 20 * limit {
			put(table, fmt.Sprint(i), i)
			if i%3 == 0 {
				table.Get(fmt.Sprint(i))
			}
			if i%11 == 0 {
				table.Invalidate(fmt.Sprint(i - 1))
			}
			if n := table.Len(); n > limit {
				t.Fatalf("%d values with a limit of %d", n, limit)
			}
		}
		found := 0
		for i := range 20 * limit {
			if table.Get(fmt.Sprint(i)) != nil {
				found++
			}
		}
		if n := table.Len(); found != n || n == 0 {
			t.Errorf("%d values, of which %d are found", n, found)
		}
	}
}

// With as many ids as there is room for, hardly any set is too full.
func TestTheLimitIsReached(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	table := New[int](limit)
	for i := range limit {
		put(table, fmt.Sprint(i), i)
	}
	if n := table.Len(); n < limit*97/100 {
		t.Errorf("%d of %d", n, limit)
	}
}

func TestAValueThatIsLookedUpOftenIsNotEvicted(t *testing.T) {
	t.Parallel()
	const limit = 1000
	table := New[int](limit)
	popular := func(visit func(id string)) {
		for i := range limit / 10 {
			visit(fmt.Sprint("popular ", i))
		}
	}
	popular(func(id string) { put(table, id, 1) })
	for i := range 10 * limit {
		put(table, fmt.Sprint(i), i)
		if i%(limit/10) == 0 {
			popular(func(id string) { table.Get(id) })
		}
	}
	left := 0
	popular(func(id string) {
		if table.Get(id) != nil {
			left++
		}
	})
	if left < limit/10*9/10 {
		t.Errorf("%d of %d popular values are left", left, limit/10)
	}
}

// A source's versions only rise. What is kept is never older than the last
// invalidation.
func TestAWriterWaitsForABoundedSweep(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	table := New[int](limit)
	id := func(i int) string { return fmt.Sprint(i) }
	for i := 0; table.Len() < limit; i++ {
		put(table, id(i), i)
		for range maxUsed { // so that the hand would pass over all of them
			table.Get(id(i))
		}
	}
	for i := range 100 {
		before := table.hand
		put(table, fmt.Sprint("new", i), i)
		if moved := table.hand - before; moved > maxPassed+10*ways {
			t.Fatalf("the hand passed over %d places for one value", moved)
		}
	}
	if table.Len() != limit {
		t.Errorf("%d values, want %d", table.Len(), limit)
	}
}

func TestNoReaderSeesAnInvalidatedValue(t *testing.T) {
	t.Parallel()
	const ids, rounds = 30, 3000
	table := New[int64](20)
	var source, floor [ids]atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range rounds {
				n := rand.IntN(ids)
				version := source[n].Add(1)
				table.Invalidate(fmt.Sprint(n))
				for old := floor[n].Load(); old < version && !floor[n].CompareAndSwap(old, version); old = floor[n].Load() {
				}
			}
		})
		all.Go(func() {
			for range 3 * rounds {
				n := rand.IntN(ids)
				id, low := fmt.Sprint(n), floor[n].Load()
				if v := table.Get(id); v != nil {
					if v.Value < low {
						t.Errorf("version %d, though %d was known", v.Value, low)
						return
					}
					continue
				}
				claim := table.Claim(id, tracking.Forever)
				table.Put(claim, source[n].Load(), tracking.Now()+time.Hour)
			}
		})
	}
	all.Wait()
}
