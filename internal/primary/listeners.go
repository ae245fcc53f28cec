package primary

import "sync"

// listeners are functions to call when another server begins to count.
type listeners struct {
	mu  sync.Mutex
	all map[*func()]struct{}
}

func (l *listeners) add(f func()) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[*func()]struct{}{}
	}
	l.all[&f] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.all, &f)
	}
}

func (l *listeners) call() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for f := range l.all {
		(*f)()
	}
}
