// Package tracking has Redis announce which keys have changed, whoever changed
// them, and says for how long one may rely on having been told.
//
// The server does the work, by CLIENT TRACKING in broadcasting mode: one
// connection to each master, which announces the keys of a prefix to itself.
// Who keeps a copy of a value takes, before the read is sent, the epoch of the
// master that will serve it, and relies on the copy for no longer than that
// epoch is valid and no announcement has named the key.
package tracking

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
)

// Config is how a Tracker tells what it learns. OnInvalidate runs on the
// goroutine that reads a master's connection; those of several masters may run
// at once.
type Config struct {
	// Prefix begins the keys that are followed. Required.
	Prefix string

	// OnInvalidate is told each key that was written, deleted or evicted, and,
	// some time later than it happened, each that expired. Required.
	OnInvalidate func(key string)

	// OnError is told each loss of a connection, each failed attempt to restore
	// it, and each refusal. The errors carry no data. Required.
	OnError func(error)

	// Untracked gives servers that refuse to track an epoch without an end.
	Untracked bool

	// Again is when a server that refused is asked again. Defaults to a minute.
	Again time.Duration
}

// State is how a Tracker stands with its masters: with the worst of them.
type State int

// The states, from the worst to the best.
const (
	Connecting State = iota // to be, or not asked for yet: no epoch
	Refused                 // the server does not let us, or cannot: no epoch
	Untracked               // the same with Config.Untracked: an epoch without an end
	Tracking                // an epoch for as long as the connection is there
)

const (
	lookEvery = 5 * time.Second        // at a Cluster's masters
	lookPause = 100 * time.Millisecond // at least, between two looks
)

// A Tracker follows the keys of a prefix on every master. It is safe for
// concurrent use.
type Tracker struct {
	cfg   Config
	rdb   redis.UniversalClient
	links atomic.Pointer[map[*redis.Client]*link]
	wake  chan struct{} // asks for a look at the masters

	life  context.Context
	end   context.CancelFunc
	mu    sync.Mutex // until the goroutine runs, or never may
	begun bool
	run   sync.WaitGroup
}

var (
	errReadsReplicas = errors.New("changes can be followed at masters alone; use a client without ReadOnly, RouteByLatency and RouteRandomly")
	errNoClient      = errors.New("changes can be followed with a *redis.Client or a *redis.ClusterClient alone")
)

// New returns a Tracker of rdb's masters. It connects when Master is first
// called. A client that reads from replicas, or that is neither of one server
// nor of a Cluster, is an error.
func New(rdb redis.UniversalClient, cfg Config) (*Tracker, error) {
	switch rdb := rdb.(type) {
	case *redis.Client:
	case *redis.ClusterClient:
		if o := rdb.Options(); o.ReadOnly || o.RouteByLatency || o.RouteRandomly {
			return nil, errReadsReplicas
		}
	default:
		return nil, errNoClient
	}
	if cfg.Again == 0 {
		cfg.Again = time.Minute
	}
	t := &Tracker{cfg: cfg, rdb: rdb, wake: make(chan struct{}, 1)}
	t.links.Store(&map[*redis.Client]*link{})
	t.life, t.end = context.WithCancel(context.Background())
	return t, nil
}

// Master returns a client of the one server that now has key, and its epoch,
// which is nil while nothing tells of its changes. The client is nil if no
// master is known.
func (t *Tracker) Master(ctx context.Context, key string) (*redis.Client, *Epoch) {
	master, single := t.rdb.(*redis.Client)
	if !single {
		var err error
		if master, err = t.rdb.(*redis.ClusterClient).MasterForKey(ctx, key); err != nil {
			return nil, nil
		}
	}
	l := (*t.links.Load())[master]
	if l == nil {
		t.look()
		return master, nil
	}
	return master, l.epoch.Load()
}

// State is the worst of all masters'.
func (t *Tracker) State() State {
	links := *t.links.Load()
	if len(links) == 0 {
		return Connecting
	}
	worst := Tracking
	for _, l := range links {
		worst = min(worst, State(l.state.Load()))
	}
	return worst
}

// Close ends the connections and waits for the goroutines. It may be called
// more than once.
func (t *Tracker) Close() {
	t.mu.Lock()
	t.begun = true
	t.mu.Unlock()
	t.end()
	t.run.Wait()
}

// look has the masters looked at, soon.
func (t *Tracker) look() {
	select {
	case t.wake <- struct{}{}:
	default:
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.begun {
		t.begun = true
		t.run.Go(t.watch)
	}
}

// watch keeps one link to each master.
func (t *Tracker) watch() {
	defer t.keep(nil)
	_, single := t.rdb.(*redis.Client)
	for t.life.Err() == nil {
		if masters, err := t.masters(); err == nil {
			t.keep(masters)
		} else if t.life.Err() == nil {
			t.cfg.OnError(redact.Clean(err))
		}
		if single {
			<-t.life.Done()
			return
		}
		t.rest()
	}
}

// rest returns when it is time for another look.
func (t *Tracker) rest() {
	pause, next := time.After(lookPause), time.After(lookEvery)
	select {
	case <-pause:
	case <-t.life.Done():
	}
	select {
	case <-t.wake:
	case <-next:
	case <-t.life.Done():
	}
}

func (t *Tracker) masters() ([]*redis.Client, error) {
	cluster, ok := t.rdb.(*redis.ClusterClient)
	if !ok {
		return []*redis.Client{t.rdb.(*redis.Client)}, nil
	}
	ctx, cancel := context.WithTimeout(t.life, lookEvery)
	defer cancel()
	var mu sync.Mutex
	var masters []*redis.Client
	err := cluster.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		masters = append(masters, master)
		return nil
	})
	return masters, err
}

// keep makes links to masters, and ends all others.
func (t *Tracker) keep(masters []*redis.Client) {
	old := *t.links.Load()
	links := map[*redis.Client]*link{}
	for _, master := range masters {
		if links[master] = old[master]; links[master] == nil {
			links[master] = newLink(t.life, t.cfg, master)
		}
	}
	t.links.Store(&links)
	var ending sync.WaitGroup
	for master, l := range old {
		if links[master] == nil {
			ending.Go(l.close)
		}
	}
	ending.Wait()
}
