package partitions

import (
	"context"
	"fmt"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/redistest/netlab"
)

// startOne starts one server on a host of its own.
func (r *run) startOne() *redistest.Process {
	p := r.lab.Start()
	r.start(p, settings{Addrs: []string{p.Addr()}})
	return p
}

// shortly cuts one server off for a short time.
func shortly(r *run, cut func(server *netlab.Host) (heal func())) *redistest.Process {
	p := r.startOne()
	r.breaks(p.Addr())
	heal := cut(r.lab.Host(p))
	r.lasts(short)
	heal()
	r.observe(p)
	return p
}

func vanish(r *run) *redistest.Process {
	return shortly(r, func(server *netlab.Host) func() { return r.lab.Vanish(server) })
}

func oneDirection(r *run) *redistest.Process {
	return shortly(r, func(server *netlab.Host) func() { return r.lab.Cut(server, r.hosts...) })
}

func forget(r *run) *redistest.Process {
	p := r.startOne()
	r.breaks()
	r.lab.Forget(r.lab.Host(p), r.hosts...)
	r.observe(p)
	return p
}

// pair starts a server with a copy of it. promote makes the copy a primary, with all that
// the test itself has written.
func (r *run) pair() (old, next *redistest.Process, promote func()) {
	old = redistest.Start(r.t)
	next = redistest.Start(r.t, "--replicaof", fmt.Sprint(old.Host(), " ", old.Port()))
	redistest.Eventually(r.t, next.IsReplica, "the copy is complete")
	return old, next, func() {
		r.truth.moveTo(nil)
		time.Sleep(50 * time.Millisecond) // the copy gets the last writes
		if err := next.SocketClient().SlaveOf(context.Background(), "NO", "ONE").Err(); err != nil {
			r.t.Fatal(err)
		}
	}
}

func addressMoves(r *run, closed bool) *redistest.Process {
	old, next, promote := r.pair()
	proxy := redistest.StartProxy(r.t, old.Addr())
	r.start(old, settings{Addrs: []string{proxy.Addr()}})
	promote()
	r.breaks()
	proxy.MoveTo(next.Addr())
	if closed {
		proxy.Cut()
	}
	r.observe(next)
	return next
}

func nameMoves(r *run) *redistest.Process {
	const name = "redis.test:6379"
	old, next, promote := r.pair()
	r.start(old, settings{Addrs: []string{name}, Names: map[string]string{name: old.Addr()}})
	promote()
	r.breaks()
	r.send("move " + name + " " + next.Addr())
	r.observe(next)
	return next
}

func demoted(r *run) *redistest.Process {
	old, next, promote := r.pair()
	proxy := redistest.StartProxy(r.t, old.Addr())
	r.start(old, settings{Addrs: []string{proxy.Addr()}})
	promote()
	r.breaks()
	if err := old.SocketClient().SlaveOf(context.Background(), next.Host(), fmt.Sprint(next.Port())).Err(); err != nil {
		r.t.Fatal(err)
	}
	r.lasts(500 * time.Millisecond)
	proxy.MoveTo(next.Addr())
	r.observe(next)
	return next
}

func stopped(r *run) *redistest.Process {
	p := redistest.Start(r.t)
	r.start(p, settings{Addrs: []string{p.Addr()}})
	r.breaks()
	r.nearFrom = r.began // what was written meanwhile was written
	for _, c := range r.processes {
		c.Pause()
	}
	if r.full {
		r.lasts(40 * time.Second)
	} else {
		r.lasts(10 * time.Second)
	}
	for _, c := range r.processes {
		c.Resume()
	}
	r.observe(p)
	return p
}
