package cache

import (
	"context"
	"testing"
)

// A program that reads some ids in turn has each of them checked as often as the others.
func TestHitsAreChosenEvenlyInEveryRhythm(t *testing.T) {
	t.Parallel()
	for _, oneIn := range []int{1, 10, 1000} {
		b := newBacklog(oneIn, nil, nil, nil, func(context.Context, []int) []int { return nil })
		for _, rhythm := range []int{1, 2, 7, 10, 64, 100} {
			const each = 100 // choices of each id
			chosen := make([]int, rhythm)
			for n := range each * oneIn * rhythm {
				if b.chooses(uint64(n + 1)) {
					chosen[n%rhythm]++
				}
			}
			for id, n := range chosen {
				if n < each-10 || n > each+10 {
					t.Errorf("one in %d: id %d of %d was chosen %d times instead of %d", oneIn, id, rhythm, n, each)
				}
			}
		}
	}
}
