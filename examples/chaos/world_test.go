package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
)

// slack is how much longer than its time-out a call may take: the machine
// runs the servers, the fleet and the models on whatever cores it has.
const slack = time.Second

// callTimeout is that of each call of a workload.
const callTimeout = 2 * time.Second

// A member is what one process of a fleet has: clients of its own and, but on
// Sentinel and Cluster, a network of its own.
type member struct {
	name  string
	rdb   redis.UniversalClient
	proxy *redistest.Proxy
}

// A world is a fleet of two members at work on servers of its own.
type world struct {
	*ledger
	t       *testing.T
	weather weather
	stage   *stage
	members []*member
	seed    uint64
	streams atomic.Uint64
	stop    context.Context // ends when the workloads are to
	running sync.WaitGroup
}

// A workload is what a fleet does with one package, and the model that watches.
type workload interface {
	// start has it run in goroutines of the world until w.stop ends.
	start(w *world)

	// works is one call for m that fails unless everything works.
	works(ctx context.Context, m *member) error

	// check looks at the whole, after all has ended and while the servers
	// still run.
	check(w *world)

	// close ends what start opened.
	close() error
}

// rand is a generator for one goroutine.
func (w *world) rand() *rand.Rand { return rand.New(rand.NewPCG(w.seed, w.streams.Add(1))) }

// each runs f for each member, n times over, until the workloads stop; f does
// one thing and says whether to go on at once rather than after a pause.
func (w *world) each(n int, pause time.Duration, f func(rng *rand.Rand, m *member)) {
	for _, m := range w.members {
		for range n {
			w.forever(pause, func(rng *rand.Rand) { f(rng, m) })
		}
	}
}

// forever runs f again and again, with pauses of up to twice pause.
func (w *world) forever(pause time.Duration, f func(rng *rand.Rand)) {
	rng := w.rand()
	w.running.Go(func() {
		for sleep(w.stop, time.Duration(rng.Int64N(int64(2*pause)))) {
			f(rng)
		}
	})
}

// sleep says whether ctx lasted for d.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}

// call gives f a context that ends in time, and checks that f does.
func (w *world) call(what string, f func(ctx context.Context)) {
	w.within(what, callTimeout, f)
}

func (w *world) within(what string, d time.Duration, f func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	began := time.Now()
	f(ctx)
	w.checked(boundedCalls, 1)
	if took := time.Since(began); took > d+slack {
		w.violated(boundedCalls, "%s took %v, its context %v", what, took, d)
	}
}

// connect makes the members of a fleet.
func (w *world) connect() {
	for i := range 2 {
		m := &member{name: fmt.Sprint("member ", i)}
		cfg := w.stage.config(m)
		ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
		rdb, err := rediskit.Connect(ctx, cfg)
		cancel()
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { _ = rdb.Close() }) // play has closed it, unless the stage failed
		m.rdb = rdb
		w.members = append(w.members, m)
	}
}

// recoverAll waits until all works for each member again, and checks that it
// did in time.
func (w *world) recoverAll(loads []workload) {
	ended := time.Now()
	var all sync.WaitGroup
	for _, m := range w.members {
		for _, load := range loads {
			all.Go(func() {
				var err error
				for {
					ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
					err = load.works(ctx, m)
					cancel()
					took := time.Since(ended)
					if err == nil {
						w.checked(recovery, 1)
						if took > 2*time.Second {
							w.violated(recovery, "%T took %v for %s", load, took, m.name)
						}
						return
					}
					if took > 15*time.Second || !sleep(w.t.Context(), 5*time.Millisecond) {
						w.violated(recovery, "%T of %s has not recovered after %v: %v", load, m.name, took, err)
						return
					}
				}
			})
		}
	}
	all.Wait()
}

// play is one round: loads run while f strikes, then the models speak.
func (w *world) play(f fault, hold time.Duration, loads ...workload) {
	stop, end := context.WithCancel(context.Background())
	defer func() { // also when the stage fails
		end()
		w.running.Wait()
	}()
	w.stop = stop
	for _, load := range loads {
		load.start(w)
	}
	w.recoverAll(loads) // the beginning: all must work
	sleep(w.t.Context(), 500*time.Millisecond)
	w.weather.begin(f.loses)
	f.strike(w, hold)
	w.recoverAll(loads)
	w.weather.end()
	sleep(w.t.Context(), 700*time.Millisecond)
	end()
	w.running.Wait()
	for _, load := range loads {
		load.check(w)
	}
	w.auditKeys()
	w.auditGrants()
	for _, load := range loads {
		if err := load.close(); err != nil {
			w.t.Errorf("%T: close: %v", load, err)
		}
	}
	for _, m := range w.members {
		if err := m.rdb.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			w.t.Errorf("close the client of %s: %v", m.name, err)
		}
	}
	w.auditConnections()
}

// auditConnections looks for connections that nobody holds any more.
func (w *world) auditConnections() {
	if !w.stage.single() {
		return // its servers and Sentinels hold some to each other
	}
	w.checked(noGrowth, 1)
	rdb := w.stage.masters()[0]
	defer rdb.Close()
	var open int
	for range 200 { // the server hears of an end a little later
		if _, err := fmt.Sscanf(rdb.Info(context.Background(), "clients").Val(), "# Clients\r\nconnected_clients:%d", &open); err != nil {
			w.t.Errorf("count the connections: %v", err)
		}
		if open == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.violated(noGrowth, "%d connections are open on the server besides that which asks", open-1)
}

// auditGrants looks for what an access rule has denied.
func (w *world) auditGrants() {
	if !w.stage.single() {
		return // their servers let everybody do everything
	}
	w.checked(grants, 1)
	rdb := w.stage.masters()[0]
	defer rdb.Close()
	log, err := rdb.ACLLog(context.Background(), 100).Result()
	if err != nil {
		w.t.Errorf("audit the grants: %v", err)
	}
	for _, entry := range log {
		if entry.Reason != "auth" { // as while a password is rotated
			w.violated(grants, "denied %d times: %s %s (%s)", entry.Count, entry.Reason, entry.Object, entry.Context)
		}
	}
}

// auditKeys looks at the TTL of every key.
func (w *world) auditKeys() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, master := range w.stage.masters() {
		for it := master.Scan(ctx, 0, "*", 1000).Iterator(); ; {
			if !it.Next(ctx) {
				if err := it.Err(); err != nil {
					w.t.Errorf("audit the keys: %v", err)
				}
				break
			}
			ttl, err := master.PTTL(ctx, it.Val()).Result()
			if err != nil {
				w.t.Errorf("audit the keys: %v", err)
			}
			w.checked(everyTTL, 1)
			if ttl == -1 {
				w.violated(everyTTL, "a key like %.40q has none", it.Val())
			}
		}
		master.Close()
	}
}
