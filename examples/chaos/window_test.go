package chaos

import (
	"sync"
	"time"
)

// A faultWindow is what the models know of the fault of their round: when it began and
// ended, and whether the servers may lose what they have confirmed.
type faultWindow struct {
	mu       sync.Mutex
	from, to time.Time // from is zero before the fault, to until it has ended
	loses    bool
	rewinds  bool
}

func (w *faultWindow) begin(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.from, w.loses, w.rewinds = time.Now(), f.loses, f.rewinds
}

// risingUntil returns until when counters that rise with the server's time do so for
// certain: until the fault, if it may lose them and its next server's clock is behind.
func (w *faultWindow) risingUntil() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.loses && w.rewinds {
		return w.from
	}
	return time.Now()
}

func (w *faultWindow) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.to = time.Now()
}

// quiet reports whether there was no fault at any time from since to till.
func (w *faultWindow) quiet(since, till time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.from.IsZero() || till.Before(w.from) || !w.to.IsZero() && since.After(w.to)
}

// durable reports whether no server can have lost what it confirmed from since to till.
func (w *faultWindow) durable(since, till time.Time) bool {
	return !w.mayLose() || w.quiet(since, till)
}

// mayLose reports whether the fault may lose what servers have confirmed.
func (w *faultWindow) mayLose() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.loses
}
