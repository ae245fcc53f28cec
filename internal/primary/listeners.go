package primary

import (
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/attach"
)

// OnTerm calls f, until stop is called, each time that another server begins to count
// for rdb: on a Cluster, for some slots. f must not block. It is never called for a
// client that does not dial through this package.
func OnTerm(rdb redis.UniversalClient, f func()) (stop func()) {
	if l, ok := attach.Of[*listeners](rdb); ok {
		return l.add(f)
	}
	return func() {}
}

// Attach lets OnTerm find w through rdb.
func (w *Watch) Attach(rdb *redis.Client) { attach.To(rdb, &w.listeners) }

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
