// Package tracking has Redis announce which keys have changed, whichever program changed them,
// and says for how long a caller may rely on these announcements.
//
// The server does the work, by CLIENT TRACKING in broadcasting mode: one connection
// to each primary, which announces the keys of a prefix to itself. A caller that
// keeps a copy of a value takes the epoch of the primary that will serve the read,
// before it sends the read. It may use the copy while that epoch is valid and no
// announcement has named the key.
//
//   - tracker.go: one link to each primary.
//   - link.go: the announcements of one primary, and its state.
//   - handshake.go: what a connection sends first.
//   - epoch.go: the period in which announcements can be relied on.
package tracking

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/sender"
)

// State is how a Tracker stands with its primaries: with the worst of them.
type State int

// The states, from the worst to the best.
const (
	Connecting State = iota // not connected, or not asked for yet: no epoch
	Refused                 // the server does not permit tracking, or cannot track: no epoch
	Untracked               // the same with Config.Untracked: an epoch without an end
	Tracking                // an epoch for as long as the connection is there
)

const (
	lookEvery = 5 * time.Second        // at a Cluster's primaries
	lookPause = 100 * time.Millisecond // at least, between two looks

	noLimit time.Duration = math.MaxInt64
)

var (
	errReadsReplicas = errors.New("changes can be followed at primaries alone; use a client without ReadOnly, RouteByLatency and RouteRandomly")
	errNoClient      = errors.New("changes can be followed with a *redis.Client or a *redis.ClusterClient alone")
)

// A Tracker follows the keys of a prefix on every primary. It is safe for concurrent
// use. It owns one goroutine, which owns the links.
type Tracker struct {
	cfg   Config
	rdb   redis.UniversalClient
	links atomic.Pointer[map[*redis.Client]*link]
	wake  chan struct{} // holds a token while a look at the primaries is wanted
	start sync.Once
	life  *life.Life
}

// New returns a Tracker of rdb's primaries. It connects when Primary is first called.
// A client that reads from replicas, or that is neither of one server nor of a
// Cluster, is an error.
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
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	t := &Tracker{cfg: cfg, rdb: rdb, wake: make(chan struct{}, 1), life: life.New(cfg.OnError)}
	t.links.Store(&map[*redis.Client]*link{})
	return t, nil
}

// Primary returns a client of the one server that has key now, and its epoch. The
// epoch is nil while the server's changes are not followed. The client is nil if no
// primary is known.
func (t *Tracker) Primary(ctx context.Context, key string) (*redis.Client, *Epoch) {
	found, err := sender.PrimaryOf(ctx, t.rdb, key)
	if err != nil {
		return nil, nil
	}
	primary := found.(*redis.Client)
	l := (*t.links.Load())[primary]
	if l == nil {
		t.wantLook()
		return primary, nil
	}
	return primary, l.epoch.Load()
}

// State is the worst of all primaries'.
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

// Close ends the connections and waits for the goroutines. It may be called more than
// once.
func (t *Tracker) Close() {
	t.life.End(nil)
	for _, l := range *t.links.Load() {
		l.life.End(nil) // at once, though watch may be in the midst of a look
	}
	t.life.Wait(noLimit)
}

// wantLook makes watch look at the primaries soon.
func (t *Tracker) wantLook() {
	select {
	case t.wake <- struct{}{}:
		t.start.Do(func() { t.life.Go(context.Background(), t.watch) })
	default:
	}
}

// watch keeps one link to each primary.
func (t *Tracker) watch(ctx context.Context) {
	defer t.keep(nil)
	_, single := t.rdb.(*redis.Client)
	for !t.life.Ended() {
		t.look(ctx)
		if single {
			<-ctx.Done()
			return
		}
		t.rest(ctx)
	}
}

// rest returns when it is time for another look.
func (t *Tracker) rest(ctx context.Context) {
	pause, next := time.After(lookPause), time.After(lookEvery)
	select {
	case <-pause:
	case <-ctx.Done():
	}
	select {
	case <-t.wake:
	case <-next:
	case <-ctx.Done():
	}
}

// look asks which primaries there are.
func (t *Tracker) look(ctx context.Context) {
	defer life.Recover(t.cfg.OnError) // the next look comes all the same
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	var primaries []*redis.Client
	for primary, err := range sender.Primaries(ctx, t.rdb) {
		if err != nil {
			if !t.life.Ended() {
				t.cfg.OnError(redact.Clean(err))
			}
			return
		}
		primaries = append(primaries, primary.(*redis.Client))
	}
	if !t.life.Ended() {
		t.keep(primaries)
	}
}

// keep makes links to primaries, and ends all others.
func (t *Tracker) keep(primaries []*redis.Client) {
	old := *t.links.Load()
	links := map[*redis.Client]*link{}
	for _, primary := range primaries {
		if links[primary] = old[primary]; links[primary] == nil {
			links[primary] = newLink(t.cfg, primary)
		}
	}
	t.links.Store(&links)
	var leaving []*link
	for primary, l := range old {
		if links[primary] == nil {
			l.life.End(nil)
			leaving = append(leaving, l)
		}
	}
	for _, l := range leaving {
		l.life.Wait(noLimit)
	}
}
