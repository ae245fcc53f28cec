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
	"github.com/convkit/rediskit/internal/redistest/netlab"
)

// slack is how much longer than its time-out a call may take, because the servers, the
// fleet and the models share the cores of one machine.
const slack = time.Second

// callTimeout is the time-out of each call of a workload.
const callTimeout = 2 * time.Second

// A member is one process of a fleet. It has a client of its own and, in a lab or with
// one server, a network of its own.
type member struct {
	name   string
	rdb    redis.UniversalClient
	proxy  *redistest.Proxy // with one server, except in a lab
	host   *netlab.Host     // in a lab
	remote *remote          // its near cache, hub and locker, if they are in another process
	moved  sync.Map         // addresses to which other addresses lead
	probes atomic.Int64     // how often a breaker began to ping
}

// leadsTo returns the address that m dials for addr.
func (m *member) leadsTo(addr string) string {
	if to, ok := m.moved.Load(addr); ok {
		return to.(string)
	}
	return addr
}

// A round is two members of a fleet that work on servers of their own, and one fault.
type round struct {
	*ledger
	t        *testing.T
	window   faultWindow
	topology *topology
	members  []*member
	seed     uint64
	streams  atomic.Uint64
	stop     context.Context // ends when the workloads must stop
	running  sync.WaitGroup
	mends    []func()
}

// later runs mend after the recovery: the fault goes on, but the fleet must work by then.
func (rd *round) later(mend func()) { rd.mends = append(rd.mends, mend) }

// A workload is what a fleet does with one package, with the model that checks it.
type workload interface {
	// start runs the workload in goroutines of the round until rd.stop ends.
	start(rd *round)

	// works makes a few calls for m. It returns an error unless everything works.
	works(ctx context.Context, m *member) error

	// check checks the whole round, after the goroutines have ended and while the
	// servers still run.
	check(rd *round)

	// close closes what start has opened.
	close() error
}

// rand returns a generator for one goroutine.
func (rd *round) rand() *rand.Rand { return rand.New(rand.NewPCG(rd.seed, rd.streams.Add(1))) }

// each runs f again and again, in n goroutines for each member, until the workloads stop.
func (rd *round) each(n int, pause time.Duration, f func(rng *rand.Rand, m *member)) {
	for _, m := range rd.members {
		for range n {
			rd.forever(pause, func(rng *rand.Rand) { f(rng, m) })
		}
	}
}

// forever runs f again and again, with pauses of up to twice pause, until the workloads
// stop.
func (rd *round) forever(pause time.Duration, f func(rng *rand.Rand)) {
	rng := rd.rand()
	rd.running.Go(func() {
		for sleep(rd.stop, time.Duration(rng.Int64N(int64(2*pause)))) {
			f(rng)
		}
	})
}

// sleep waits for d, or until ctx ends. It returns false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}

// call calls f with a context that ends after callTimeout, and checks that f returns in
// time.
func (rd *round) call(what string, f func(ctx context.Context)) {
	rd.within(what, callTimeout, f)
}

func (rd *round) within(what string, d time.Duration, f func(ctx context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	began := time.Now()
	f(ctx)
	rd.checked(boundedCalls, 1)
	if took := time.Since(began); took > d+slack {
		rd.violated(boundedCalls, "%s took %v, its context %v", what, took, d)
	}
}

// connect makes the members of the fleet.
func (rd *round) connect() {
	for i := range 2 {
		m := &member{name: fmt.Sprint("member ", i)}
		cfg := rd.topology.config(m)
		cfg.OnState = func(n rediskit.NodeState) {
			if n.State == rediskit.StateProbing {
				m.probes.Add(1)
			}
		}
		ctx, cancel := context.WithTimeout(rd.t.Context(), 20*time.Second)
		rdb, err := rediskit.Connect(ctx, cfg)
		cancel()
		if err != nil {
			rd.t.Fatal(err)
		}
		rd.t.Cleanup(func() { _ = rdb.Close() }) // run has closed it, unless it failed early
		m.rdb = rdb
		if rd.topology.remote && i == 0 {
			m.remote = startRemote(rd.t, rd.topology.server.Addr(), rd.topology.password)
		}
		rd.members = append(rd.members, m)
	}
}

// awaitRecovery waits until everything works for each member, and checks that this
// happens in time.
func (rd *round) awaitRecovery(loads []workload) {
	ended := time.Now()
	var all sync.WaitGroup
	for _, m := range rd.members {
		for _, load := range loads {
			all.Go(func() {
				var err error
				for {
					ctx, cancel := context.WithTimeout(rd.t.Context(), time.Second)
					err = load.works(ctx, m)
					cancel()
					took := time.Since(ended)
					if err == nil {
						rd.checked(recovery, 1)
						if took > 2*time.Second {
							rd.violated(recovery, "%T took %v for %s", load, took, m.name)
						}
						return
					}
					if took > 15*time.Second || !sleep(rd.t.Context(), 5*time.Millisecond) {
						rd.violated(recovery, "%T of %s has not recovered after %v: %v", load, m.name, took, err)
						return
					}
				}
			})
		}
	}
	all.Wait()
}

// run runs the round: loads run while the fault is injected, then the models check.
func (rd *round) run(f fault, duration time.Duration, loads ...workload) {
	stop, end := context.WithCancel(context.Background())
	defer func() { // also after a failure
		end()
		rd.running.Wait()
	}()
	rd.stop = stop
	for _, load := range loads {
		load.start(rd)
	}
	rd.awaitRecovery(loads) // at the beginning everything must work
	sleep(rd.t.Context(), 500*time.Millisecond)
	rd.window.begin(f)
	f.inject(rd, duration)
	ended := time.Now()
	rd.awaitRecovery(loads)
	sleep(rd.t.Context(), time.Until(ended.Add(f.settles)))
	rd.window.end()
	for _, mend := range rd.mends {
		mend()
	}
	rd.awaitRecovery(loads)
	sleep(rd.t.Context(), 700*time.Millisecond)
	end()
	rd.running.Wait()
	for _, load := range loads {
		load.check(rd)
	}
	rd.auditKeys()
	rd.auditGrants()
	for _, load := range loads {
		if err := load.close(); err != nil {
			rd.t.Errorf("%T: close: %v", load, err)
		}
	}
	for _, m := range rd.members {
		if err := m.rdb.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
			rd.t.Errorf("close the client of %s: %v", m.name, err)
		}
		if m.remote != nil {
			if err := m.remote.end(); err != nil {
				rd.t.Errorf("end the process of %s: %v", m.name, err)
			}
		}
	}
	rd.auditConnections()
}
