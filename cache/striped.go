package cache

import (
	"sync/atomic"
	"unsafe"
)

// golden is 2⁶⁴ divided by the golden ratio, and odd. Its multiples modulo 2⁶⁴ are spread
// evenly, and so is each n-th of them.
const golden = 0x9e3779b97f4a7c15

// A striped counter is for many goroutines that add at a high rate. With one number
// they would wait for one another's cache line. Each adds to the stripe that the
// address of its stack selects.
type striped [16]struct {
	n atomic.Uint64
	_ [64 - 8]byte // a cache line for each
}

// Add returns the sum of the stripe that it added to.
func (s *striped) Add(n uint64) uint64 {
	var here byte
	stack := uint64(uintptr(unsafe.Pointer(&here)) >> 11) // stacks begin at 2 KiB
	return s[stack*golden>>60].n.Add(n)
}

func (s *striped) Load() (sum uint64) {
	for i := range s {
		sum += s[i].n.Load()
	}
	return sum
}
