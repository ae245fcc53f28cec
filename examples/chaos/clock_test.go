package chaos

import (
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
)

// clockFaults are steps of the servers' clocks. A step forward ends what expires within it:
// that is a loss.
var clockFaults = []fault{
	{name: "clock of the server an hour back", topology: clocked, inject: step(-time.Hour)},
	{name: "clock of the server an hour forward", topology: clocked, inject: step(time.Hour), loses: true},
	{name: "clock of the server forward and back", topology: clocked, inject: swing, loses: true, slow: true},
	{name: "Sentinel: clocks of all servers set, and the primary killed", topology: clockedSentinels, inject: stepAndFailOver, loses: true, rewinds: true, slow: true},
	{name: "Cluster: clocks of the primaries set apart", topology: clockedCluster, inject: stepNodes, loses: true, slow: true},
}

func clocked(t testing.TB) *topology { return plainAt(t, redistest.PlaceWithClock(t)) }

func clockedSentinels(t testing.TB) *topology {
	place := redistest.PlaceWithClock(t)
	return &topology{t: t, sentinel: redistest.StartSentinel(t, func(o *redistest.SentinelOptions) {
		o.Place = func() redistest.Place { return place }
	})}
}

func clockedCluster(t testing.TB) *topology {
	place := redistest.PlaceWithClock(t)
	return &topology{t: t, cluster: redistest.StartClusterAt(t, func() redistest.Place { return place }, 3)}
}

// step sets the clock once. It stays so. No script runs at that moment: up to Redis 7.0,
// a script that gives a key a TTL just after a step back removes the key.
func step(d time.Duration) func(rd *round, duration time.Duration) {
	return func(rd *round, duration time.Duration) {
		s := rd.topology
		s.run(s.server, "client", "pause", time.Minute.Milliseconds(), "write")
		s.server.StepClock(d)
		s.run(s.server, "client", "unpause")
		time.Sleep(duration)
	}
}

// swing sets the clock forward and back, by a little and by more than a lock's TTL. It ends
// as it began.
func swing(rd *round, duration time.Duration) {
	for until := time.Now().Add(duration); time.Now().Before(until); {
		for _, d := range []time.Duration{300 * time.Millisecond, -5 * time.Second, 5 * time.Second, -300 * time.Millisecond} {
			rd.topology.server.StepClock(d)
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// stepAndFailOver sets the clock of the replica back, so that a failover is a step too.
func stepAndFailOver(rd *round, duration time.Duration) {
	for _, p := range rd.topology.sentinel.Servers() {
		if p == rd.topology.sentinel.Master() {
			p.StepClock(10 * time.Second)
		} else {
			p.StepClock(-10 * time.Second)
		}
	}
	time.Sleep(duration)
	failOver(rd, duration)
}

// stepNodes sets the clock of each primary to another time.
func stepNodes(rd *round, duration time.Duration) {
	s := rd.topology
	for i, d := range []time.Duration{10 * time.Second, -10 * time.Second, time.Hour} {
		s.cluster.Nodes()[i].StepClock(d)
	}
	time.Sleep(duration)
	rd.soon(func() bool { return s.whole(s.cluster.Nodes()...) }, "the Cluster serves all slots")
}
