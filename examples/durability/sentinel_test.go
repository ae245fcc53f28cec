package durability

import (
	"context"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/redistest/netlab"
)

// startSentinel starts a primary with replicas and Sentinels, and the clients.
func (r *run) startSentinel(opts ...func(*redistest.SentinelOptions)) *redistest.Sentinel {
	r.t.Helper()
	configure := func(o *redistest.SentinelOptions) {
		o.Replicas, o.Args = r.setting.replicas, r.setting.args
		for _, opt := range opts {
			opt(o)
		}
	}
	var s *redistest.Sentinel
	if r.lab != nil {
		s = r.lab.Sentinel(configure)
	} else {
		s = redistest.StartSentinel(r.t, configure)
	}
	r.start(target{addrs: s.Addrs(), master: s.MasterName()})
	return s
}

// unnoticed makes the Sentinels wait for longer than a server needs to start again.
func (r *run) unnoticed(s *redistest.Sentinel) {
	r.t.Helper()
	for _, p := range s.Watchers() {
		err := p.Client().Do(context.Background(), "SENTINEL", "SET", s.MasterName(), "down-after-milliseconds", 10_000).Err()
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// promoted waits until most Sentinels name another primary than old, and that is one.
func (r *run) promoted(s *redistest.Sentinel, old *redistest.Process) (primary *redistest.Process) {
	r.t.Helper()
	r.soon(func() bool {
		primary = s.Master()
		return primary != old && isPrimary(primary)
	}, "a new primary")
	return primary
}

func vanish(r *run) *redistest.Process {
	s := r.startSentinel()
	old := s.Master()
	r.lab.Vanish(r.lab.Host(old))
	primary := r.promoted(s, old)
	r.observe()
	return primary
}

func cutOff(r *run) *redistest.Process {
	s := r.startSentinel()
	old := s.Master()
	r.lab.Split(r.lab.Host(old), r.lab.Others(r.lab.Host(old))...)
	return r.heal(old, r.promoted(s, old))
}

func cutOffWithClient(r *run) *redistest.Process {
	s := r.startSentinel()
	old := s.Master()
	r.isolate(old)
	return r.heal(old, r.promoted(s, old))
}

// isolate cuts old and the client near off from everything else.
func (r *run) isolate(old *redistest.Process) {
	host := r.lab.Host(old)
	others := r.lab.Others(host)
	r.lab.Split(host, append([]*netlab.Host{r.far.host}, others...)...)
	r.lab.Split(r.near.host, others...)
}

// heal makes the network whole after a while.
func (r *run) heal(old, primary *redistest.Process) *redistest.Process {
	time.Sleep(apart)
	r.lab.Heal()
	r.soon(old.IsReplica, "the old primary is a replica")
	r.observe()
	return primary
}

func allLag(r *run) *redistest.Process {
	s := r.startSentinel()
	old := s.Master()
	r.lab.Split(r.lab.Host(old), r.lab.Hosts(s.Replicas()...)...)
	time.Sleep(lag)
	r.lab.Vanish(r.lab.Host(old))
	primary := r.promoted(s, old)
	r.observe()
	return primary
}

func oneLags(r *run) *redistest.Process {
	s := r.startSentinel()
	old, replicas := s.Master(), s.Replicas()
	r.lab.Split(r.lab.Host(old), r.lab.Host(replicas[0]))
	time.Sleep(lag)
	r.lab.Vanish(r.lab.Hosts(old, replicas[1])...)
	primary := r.promoted(s, old)
	r.observe()
	return primary
}
