package durability

import "github.com/convkit/rediskit/internal/redistest"

// killed kills the primary and starts it again before anybody takes it for dead.
func killed(r *run) *redistest.Process {
	if r.setting.replicas > 0 {
		s := r.startSentinel()
		r.unnoticed(s)
		s.Master().Restart()
		r.observe()
		return s.Master()
	}
	p := redistest.Start(r.t, r.setting.args...)
	r.start(target{addrs: []string{p.Addr()}})
	p.Restart()
	r.observe()
	return p
}
