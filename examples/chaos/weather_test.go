package chaos

import (
	"sync"
	"time"
)

// Weather is what the models know of the fault of their round: from when to
// when it raged, and whether the servers may lose what they had confirmed.
type weather struct {
	mu       sync.Mutex
	from, to time.Time // zero before, and until it ends
	loses    bool
}

func (w *weather) begin(loses bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from, w.loses = time.Now(), loses
}

func (w *weather) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = time.Now()
}

// calm says whether no fault raged between the two.
func (w *weather) calm(since, till time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.from.IsZero() || till.Before(w.from) || !w.to.IsZero() && since.After(w.to)
}

// kept says whether nothing that was confirmed between the two can have been
// lost.
func (w *weather) kept(since, till time.Time) bool {
	return !w.losing() || w.calm(since, till)
}

func (w *weather) losing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.loses
}
