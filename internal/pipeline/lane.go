package pipeline

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// alone is how many calls at once are sent by themselves. Below that a
	// pipeline saves nothing, and costs a switch of goroutines.
	alone = 4
	// most is how many pipelines are under way at once: while Redis answers
	// one, the other is written or read.
	most = 2
	// mostCommands and mostBytes bound a pipeline: the commands, and what
	// their replies are expected to take. Whoever comes after it waits for
	// all of it, and the client's ReadTimeout is for all of it.
	mostCommands = 512
	mostBytes    = 256 << 10
)

// A lane is the queue before one server.
type lane struct {
	rdb   redis.UniversalClient
	sizes *sizes
	busy  atomic.Int32 // calls that have not returned
	calls sync.Pool    // of those that nobody else knows any more

	mu       sync.Mutex
	queue    []*call
	underway int // pipelines
}

// A call is what one caller waits for. It is queued until its ctx ends or a
// pipeline takes it along.
type call struct {
	ctx  context.Context
	cmds []redis.Cmder
	size int           // of its part in a pipeline: commands, or values that they ask for
	done chan struct{} // gets one signal, once the commands have their outcomes
}

func (l *lane) process(ctx context.Context, cmds []redis.Cmder) error {
	defer l.busy.Add(-1)
	if l.busy.Add(1) <= alone || ctx.Value(within{}) != nil {
		send(ctx, l.rdb, cmds)
		return nil
	}
	c := l.enqueue(ctx, cmds)
	select {
	case <-c.done:
	case <-ctx.Done():
		select {
		case <-c.done: // it came first
		default:
			return ctx.Err()
		}
	}
	clear(c.cmds)
	c.ctx, c.cmds = nil, c.cmds[:0]
	l.calls.Put(c)
	return nil
}

// enqueue queues a call, and starts a pipeline unless enough are under way.
func (l *lane) enqueue(ctx context.Context, cmds []redis.Cmder) *call {
	c, ok := l.calls.Get().(*call)
	if !ok {
		c = &call{done: make(chan struct{}, 1)}
	}
	c.ctx, c.cmds = ctx, append(c.cmds, cmds...)
	c.size = max(len(cmds), int(values(cmds)))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, c)
	if l.underway < most {
		l.underway++
		go l.run()
	}
	return c
}

// run sends one pipeline after the other until nobody is queued.
func (l *lane) run() {
	ended := false
	defer func() {
		if !ended { // a hook has ended the goroutine
			go l.run()
		}
	}()
	for batch := l.take(nil); batch != nil; batch = l.take(batch) {
		l.send(batch)
	}
	ended = true
}

// take returns the calls that go next, in the memory of a batch that is over;
// nil if there are none.
func (l *lane) take(over []*call) []*call {
	clear(over)
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
		l.underway--
		return nil
	case len(batch):
		l.queue = over[:0]
	default:
		batch = append(over[:0], batch[:n]...)
		left := copy(l.queue, l.queue[n:])
		clear(l.queue[left:])
		l.queue = l.queue[:left]
	}
	return batch
}

// send sends those of batch whose callers still wait, and wakes these.
func (l *lane) send(batch []*call) {
	waiting := batch[:0]
	cmds := make([]redis.Cmder, 0, len(batch)) // a hook may keep it
	var latest time.Time
	endless := false
	for _, c := range batch {
		if c.ctx.Err() != nil {
			continue
		}
		waiting = append(waiting, c)
		cmds = append(cmds, c.cmds...)
		deadline, ok := c.ctx.Deadline()
		endless = endless || !ok
		if deadline.After(latest) {
			latest = deadline
		}
	}
	if len(waiting) == 0 {
		return
	}
	ctx := context.WithValue(context.Background(), within{}, true)
	if !endless { // nobody waits for longer
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, latest)
		defer cancel()
	}
	returned := false
	defer func() {
		if !returned {
			_ = recover() // here it would end the process, and not just one request
			for _, cmd := range cmds {
				cmd.SetErr(errHook)
			}
		}
		for _, c := range waiting {
			c.done <- struct{}{}
		}
	}()
	sendAll(ctx, l.rdb, cmds)
	returned = true
}

var errHook = errors.New("a hook of the client panicked")

// within marks the context of a pipeline: a hook that comes back with it must
// not wait for a pipeline, which would be its own.
type within struct{}
