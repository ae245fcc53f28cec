package partitions

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/redistest/netlab"
	"github.com/convkit/rediskit/lock"
)

// A run is one fault in servers of its own, with both clients.
type run struct {
	t     *testing.T
	fault fault
	full  bool
	lab   *netlab.Lab // nil for faults that need no network of their own

	settings  settings
	processes map[string]*redistest.ChildProcess // by kind
	hosts     []*netlab.Host                     // of the clients
	truth     *truth
	stopRival func() []span
	tag       string

	began     int64 // the fault
	reference int64 // the server that counts can be reached again
	nearFrom  int64 // from when on near copies must be as young as promised
	first     int   // the first message after the reference
	sick      map[string]bool
	sickUntil int64
	survivor  *redis.Client // the server that counts in the end
}

const (
	fewCalls  = 5 * time.Millisecond
	manyCalls = 25 * time.Millisecond // for 64 callers
)

// start starts the clients and works with them for a while. s has the addresses.
func (r *run) start(primary *redistest.Process, s settings) {
	r.t.Helper()
	s.Tag, s.Callers, s.Every, s.Hold = r.tag, 1, fewCalls, r.fault.rival
	if r.fault.callers > 1 {
		s.Callers, s.Every = r.fault.callers, manyCalls
	}
	r.settings = s
	ctx := context.Background()
	rdb := primary.SocketClient()
	if err := rdb.Set(ctx, lockPrefix(r.tag)+waitedID, "somebody", 10*time.Minute).Err(); err != nil {
		r.t.Fatal(err)
	}
	r.truth = newTruth(r.tag)
	r.t.Cleanup(r.truth.end)
	for _, kind := range kinds {
		s.Kind = kind
		text, _ := json.Marshal(s)
		var place redistest.Place
		if r.lab != nil {
			place = r.lab.Place()
			r.hosts = append(r.hosts, r.lab.At(place))
		}
		r.processes[kind] = redistest.SpawnAt(r.t, place, clientProcess, string(text))
	}
	for kind, p := range r.processes {
		if line := p.Line(); line != "ready" {
			r.t.Fatalf("%s: %s", kind, line)
		}
	}
	r.truth.moveTo(primary)
	if r.fault.rival {
		r.startRival()
	}
	time.Sleep(time.Second)
}

// startRival lets this process wait for the lock that the client of rediskit holds.
func (r *run) startRival() {
	ctx, stop := context.WithCancel(context.Background())
	c := &client{settings: r.settings}
	cfg := c.config()
	cfg.Tune = nil
	rdb, err := rediskit.Connect(ctx, cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	locks, err := lock.New(rdb, lock.Config{Key: lockPrefix(r.tag) + "*"})
	if err != nil {
		r.t.Fatal(err)
	}
	result := make(chan []span, 1)
	go func() {
		defer rdb.Close()
		held, err := locks.Acquire(ctx, heldID)
		var trusted []span
		if err == nil {
			trusted = trust(ctx, held)
			_ = held.Release(context.Background())
		}
		_ = locks.Close()
		result <- trusted
	}()
	r.stopRival = func() []span {
		stop()
		return <-result
	}
	r.t.Cleanup(stop)
}

// breaks notes that the fault begins. Nothing that counts is written until counts, or
// until the truth moves. The addresses are of nodes that are not well.
func (r *run) breaks(sick ...string) {
	r.began = now()
	for _, addr := range sick {
		r.sick[addr] = true
	}
}

// observe notes that p counts, and that the clients can reach it. It lets them work from
// then on.
func (r *run) observe(p *redistest.Process) {
	r.reference = now()
	if r.nearFrom == 0 {
		r.nearFrom = r.reference
	}
	if r.sick[p.Addr()] {
		r.sickUntil = r.reference
	}
	r.first = r.truth.last() + 1
	r.truth.releaseSoon()
	r.truth.moveTo(p)
	time.Sleep(time.Until(time.Unix(0, r.reference).Add(r.window())))
}

// window is how long the clients are observed after the reference.
func (r *run) window() time.Duration {
	if r.full {
		return 12 * time.Second
	}
	return 6 * time.Second
}

// lasts lets the fault last for d.
func (r *run) lasts(d time.Duration) { time.Sleep(d) }

// finish ends the clients and returns the figures of both.
func (r *run) finish(survivor *redistest.Process) map[string]figures {
	r.truth.end()
	time.Sleep(200 * time.Millisecond) // what was published arrives
	var rival []span
	if r.stopRival != nil {
		rival = r.stopRival()
	}
	r.survivor = survivor.SocketClient()
	records := map[string]*record{}
	for _, kind := range kinds {
		r.processes[kind].Send("stop")
	}
	for _, kind := range kinds {
		records[kind] = &record{}
		if err := json.Unmarshal([]byte(r.processes[kind].Line()), records[kind]); err != nil {
			r.t.Fatal(err)
		}
	}
	all := map[string]figures{}
	for kind, rec := range records {
		all[kind] = r.figures(kind, rec)
	}
	f := all[rediskitKind]
	f.together = overlap(records[rediskitKind].Trusted, rival)
	f.others = missed(records[plainKind].Sent, records[rediskitKind].Events, other)
	all[rediskitKind] = f
	return all
}

// lost returns which of the confirmed calls are not at the server that counts.
func (r *run) lost(kind string, calls []call) map[[2]int]bool {
	s := r.settings
	s.Kind = kind
	pipe := r.survivor.Pipeline()
	exists := map[[2]int]*redis.IntCmd{}
	for _, c := range calls {
		if c.OK {
			exists[[2]int{c.Caller, c.N}] = pipe.Exists(context.Background(), s.key(c.Caller, c.N))
		}
	}
	if _, err := pipe.Exec(context.Background()); err != nil {
		r.t.Fatal(err)
	}
	lost := map[[2]int]bool{}
	for id, cmd := range exists {
		if cmd.Val() == 0 {
			lost[id] = true
		}
	}
	return lost
}

// acceptsWrites reports whether p is a primary that confirms writes.
func acceptsWrites(p *redistest.Process) bool {
	rdb := p.SocketClient()
	defer rdb.Close()
	return strings.Contains(rdb.Info(context.Background(), "replication").Val(), "role:master") &&
		rdb.Set(context.Background(), "accepts", 1, time.Minute).Err() == nil
}

// soon waits for a condition, and looks often: it decides when a reference is.
func soon(t *testing.T, condition func() bool, what string) {
	t.Helper()
	redistest.Within(t, 30*time.Second, condition, what)
}

func newRun(t *testing.T, f fault, full bool) *run {
	return &run{
		t: t, fault: f, full: full, processes: map[string]*redistest.ChildProcess{}, sick: map[string]bool{},
		tag: fmt.Sprint("t", now()),
	}
}
