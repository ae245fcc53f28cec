package cache

import (
	"sync"
	"testing"
)

func TestAStripedCounterLosesNothing(t *testing.T) {
	t.Parallel()
	var counter striped
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for range 1000 {
				counter.Add(1)
			}
		})
	}
	all.Wait()
	if got := counter.Load(); got != 64_000 {
		t.Errorf("counted %d of 64000", got)
	}
	used := 0
	for i := range counter {
		if counter[i].n.Load() > 0 {
			used++
		}
	}
	if used < 2 {
		t.Error("all goroutines raised the same stripe")
	}
}
