package sender

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/breaker"
	"github.com/convkit/rediskit/internal/life"
)

// A lane lets calls to one server share round trips.
//
// While only a few calls are under way, each is sent by itself. More of them queue,
// and at most two pipelines at a time are under way, each with all that was queued
// when it began. So no call waits for others to come, and the busier it gets, the
// more calls share a round trip.
//
//   - A call ends when its ctx does. One that is still queued then is withdrawn: it is
//     never sent, and its error says so. One that was sent goes on without its caller,
//     and may still wait for a connection then.
//   - The end of a connection leaves open whether the commands of its pipeline ran that
//     were not answered. A pipeline of a class that runs once is never sent again.
//   - A queued call counts among those that the client's Bulkhead bounds, from the
//     queue to the end of its pipeline, also after its caller has left. So a slow
//     server collects neither goroutines nor requests without end.
//   - A call with large arguments or replies does not share, so that small ones need not
//     wait for it (sizes.go).
//
// A pipeline passes the hooks of the client with a context of its own, since it
// belongs to several callers. Its goroutine ends with it, at the client's time-outs
// at the latest.
type lane struct {
	rdb   redis.UniversalClient
	class Class
	sizes *sizes
	calls func() *breaker.Bulkhead
	busy  atomic.Int32 // calls that have not returned
	free  sync.Pool    // of *request, for reuse

	mu        sync.Mutex
	queue     []*request
	pipelines int // under way
}

const (
	// maxDirect is how many calls at once are sent by themselves. A pipeline of so
	// few saves nothing, and costs a switch of goroutines.
	maxDirect = 4
	// maxPipelines is how many pipelines are under way at once: while the server
	// answers one, the other is written or read.
	maxPipelines = 2
	// maxCommands and maxBytes bound a pipeline: its commands, and the size that their
	// arguments and replies are expected to have. A call that comes after it waits for
	// all of it, and the client's ReadTimeout is for all of it.
	maxCommands = 512
	maxBytes    = 256 << 10
)

// A request is one call that waits for a pipeline: its commands, or its charge.
type request struct {
	ctx    context.Context
	cmds   []redis.Cmder
	charge *charge       // nil for commands
	size   int           // its part of a pipeline: commands, or what counts as much
	done   chan struct{} // receives once, when the commands have their outcomes
	fate   atomic.Int32  // queued until the pipeline sends it or its caller withdraws it
}

// The fates of a request.
const (
	queued = iota
	sent
	left
)

// do sends the commands of one call, as Sender.Do does.
func (l *lane) do(ctx context.Context, cmds []redis.Cmder) error {
	defer l.busy.Add(-1)
	if l.busy.Add(1) <= maxDirect || ctx.Value(inPipeline{}) != nil {
		Send(ctx, l.rdb, l.class, cmds...)
		return nil
	}
	if err := l.calls().Enter(ctx); err != nil {
		fail(cmds, err)
		return nil
	}
	r := l.request()
	for _, cmd := range cmds {
		r.cmds = append(r.cmds, l.class.deliver(cmd))
	}
	r.size = max(len(cmds), int(values(cmds))) + argumentBytes(cmds)/(maxBytes/maxCommands)
	return l.ride(ctx, r)
}

// ride queues a request and waits until it has its outcome. If ctx ends first, the
// outcome is not the caller's any more.
func (l *lane) ride(ctx context.Context, r *request) error {
	r.ctx = ctx
	l.enqueue(r)
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.fate.CompareAndSwap(queued, left) {
			return withdrawn{ctx.Err()}
		}
		select {
		case <-r.done: // both are ready
		default:
			return ctx.Err()
		}
	}
	clear(r.cmds)
	r.ctx, r.cmds, r.charge = nil, r.cmds[:0], nil
	r.fate.Store(queued)
	l.free.Put(r)
	return nil
}

func (l *lane) request() *request {
	if r, ok := l.free.Get().(*request); ok {
		return r
	}
	return &request{done: make(chan struct{}, 1)}
}

// enqueue queues a request, and starts a pipeline unless enough are under way.
func (l *lane) enqueue(r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, r)
	if l.pipelines < maxPipelines {
		l.pipelines++
		go l.run()
	}
}

// run sends one pipeline after the other until the queue is empty.
//
// A caller that has just been answered often comes back with its next call. Where fewer
// calls wait than were answered, it gets the chance to do so first: the goroutines that
// can run now do. Else, of sixteen callers that call again and again, five would share a
// pipeline and not seven.
func (l *lane) run() {
	returned := false
	defer func() {
		if !returned { // a hook called runtime.Goexit
			go l.run()
		}
	}()
	for batch := l.take(nil); batch != nil; batch = l.take(batch) {
		l.send(batch)
		if l.waiting() < len(batch) {
			runtime.Gosched()
		}
	}
	returned = true
}

func (l *lane) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// take returns the requests that go next, nil if there are none. It reuses the
// memory of spent, a batch that is over.
func (l *lane) take(spent []*request) []*request {
	clear(spent)
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for room := l.sizes.fit(); n < len(l.queue); n++ {
		if room -= l.queue[n].size; room < 0 && n > 0 {
			break
		}
	}
	batch := l.queue
	switch n {
	case 0:
		l.pipelines--
		return nil
	case len(batch):
		l.queue = spent[:0]
	default:
		batch = append(spent[:0], batch[:n]...)
		left := copy(l.queue, l.queue[n:])
		clear(l.queue[left:])
		l.queue = l.queue[:left]
	}
	return batch
}

// send sends the requests of batch whose callers still wait, and wakes these.
func (l *lane) send(batch []*request) {
	waiting := batch[:0]
	cmds := make([]redis.Cmder, 0, len(batch)) // a hook may keep it
	var latest time.Time
	endless := false
	for _, r := range batch {
		if r.ctx.Err() != nil || !r.fate.CompareAndSwap(queued, sent) {
			continue
		}
		waiting = append(waiting, r)
		if r.charge == nil {
			cmds = append(cmds, r.cmds...)
		}
		deadline, ok := r.ctx.Deadline()
		endless = endless || !ok
		if deadline.After(latest) {
			latest = deadline
		}
	}
	l.calls().Leave(len(batch) - len(waiting))
	if len(waiting) == 0 {
		return
	}
	if l.class == Charge {
		for _, cmd := range merge(waiting) {
			cmds = append(cmds, l.class.deliver(cmd))
		}
	}
	ctx := pipelineContext
	if !endless { // no caller waits for longer
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, latest)
		defer cancel()
	}
	returned := false
	defer func() {
		if !returned { // a hook panicked, which must not end the process, or called runtime.Goexit
			fail(cmds, &life.PanicError{Value: recover(), Stack: debug.Stack()})
		}
		l.calls().Leave(len(waiting))
		for _, r := range waiting {
			r.done <- struct{}{}
		}
	}()
	exec(ctx, l.rdb, cmds)
	if cluster, ok := l.rdb.(*redis.ClusterClient); ok && lost(cmds) {
		cluster.ReloadState(ctx)
	}
	returned = true
}

// inPipeline marks the context of a pipeline. A hook that sends with this context
// must not wait for a pipeline: it would wait for itself.
type inPipeline struct{}

// pipelineContext is that of every pipeline: its calls were counted when they were queued.
var pipelineContext = breaker.Counted(context.WithValue(context.Background(), inPipeline{}, true))
