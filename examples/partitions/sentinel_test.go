package partitions

import (
	"context"
	"slices"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/redistest/netlab"
)

// startSentinel starts servers with as many replicas as min-replicas needs after a
// failover.
func (r *run) startSentinel(minReplicas bool) (s *redistest.Sentinel, old *redistest.Process) {
	s = r.lab.Sentinel(func(o *redistest.SentinelOptions) {
		if minReplicas {
			o.Replicas = 2
		}
	})
	for _, p := range s.Servers() {
		rdb := p.SocketClient()
		if minReplicas {
			for setting, value := range map[string]string{"min-replicas-to-write": "1", "min-replicas-max-lag": "1"} {
				if err := rdb.ConfigSet(context.Background(), setting, value).Err(); err != nil {
					r.t.Fatal(err)
				}
			}
		}
		rdb.Close()
	}
	old = s.Master()
	soon(r.t, func() bool { return acceptsWrites(old) }, "the primary accepts writes")
	r.start(old, settings{Addrs: s.Addrs(), MasterName: s.MasterName()})
	return s, old
}

// but returns the hosts of all servers and Sentinels but some.
func (r *run) but(s *redistest.Sentinel, some ...*redistest.Process) (others []*netlab.Host) {
	for _, p := range append(s.Watchers(), s.Servers()...) {
		if !slices.Contains(some, p) {
			others = append(others, r.lab.Host(p))
		}
	}
	return others
}

// promoted waits until most Sentinels name a new primary, and that accepts writes.
func (r *run) promoted(s *redistest.Sentinel, old *redistest.Process) (primary *redistest.Process) {
	soon(r.t, func() bool {
		primary = s.Master()
		return primary != old && acceptsWrites(primary)
	}, "a new primary")
	return primary
}

func primaryCut(r *run, minReplicas bool) *redistest.Process {
	s, old := r.startSentinel(minReplicas)
	r.truth.moveTo(nil)
	r.breaks(old.Addr())
	heal := r.lab.Split(r.lab.Host(old), r.but(s, old)...)
	primary := r.promoted(s, old)
	r.observe(primary)
	heal()
	soon(r.t, old.IsReplica, "the old primary is a replica")
	return primary
}

func minority(r *run, minReplicas bool) *redistest.Process {
	s, old := r.startSentinel(minReplicas)
	others := r.but(s, old)
	r.truth.moveTo(nil)
	r.breaks()
	began := time.Now()
	for _, h := range append(r.hosts, r.lab.Host(old)) {
		r.lab.Split(h, others...)
	}
	primary := r.promoted(s, old)
	r.sick[primary.Addr()] = true
	r.truth.moveTo(primary)
	r.lasts(time.Until(began.Add(20 * time.Second)))
	r.lab.Heal()
	r.observe(primary)
	soon(r.t, old.IsReplica, "the old primary is a replica")
	return primary
}

func clientsCut(r *run) *redistest.Process {
	_, primary := r.startSentinel(!minReplicas)
	r.breaks(primary.Addr())
	heal := r.lab.Split(r.lab.Host(primary), r.hosts...)
	r.lasts(short)
	heal()
	r.observe(primary)
	return primary
}

func minoritySentinel(r *run) *redistest.Process {
	s, old := r.startSentinel(!minReplicas)
	first := s.Watchers()[0]
	r.truth.moveTo(nil)
	r.breaks(old.Addr())
	others := r.but(s, old, first)
	r.lab.Split(r.lab.Host(old), others...)
	r.lab.Split(r.lab.Host(first), others...)
	primary := r.promoted(s, old)
	r.observe(primary)
	r.lab.Heal()
	soon(r.t, old.IsReplica, "the old primary is a replica")
	return primary
}

func vanishWithSentinel(r *run) *redistest.Process {
	s, old := r.startSentinel(!minReplicas)
	r.truth.moveTo(nil)
	gone := s.Watchers()[0]
	r.breaks(old.Addr(), gone.Addr())
	r.lab.Vanish(r.lab.Hosts(old, gone)...)
	primary := r.promoted(s, old)
	r.observe(primary)
	return primary
}
