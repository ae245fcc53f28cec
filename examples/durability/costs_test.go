package durability

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/secrets"
	"github.com/convkit/rediskit/session"
)

// A cost is what one setting makes of a call, in the median.
type cost struct{ touch, update time.Duration }

const (
	rounds    = 20
	callsEach = 25 // of each kind, in a round
)

// measureCosts measures all settings in turns, one call at a time, on servers of this
// machine in which nothing fails.
func measureCosts(t *testing.T) map[string]cost {
	meters := make([]*meter, len(settings))
	for i, s := range settings {
		meters[i] = newMeter(t, s)
	}
	for range rounds {
		for _, m := range meters {
			m.measure(t)
		}
	}
	costs := map[string]cost{}
	for i, s := range settings {
		costs[s.name] = cost{median(meters[i].touches), median(meters[i].updates)}
		t.Logf("%s: Touch %v, Update %v", s.name, costs[s.name].touch, costs[s.name].update)
	}
	return costs
}

// A meter calls the servers of one setting.
type meter struct {
	visits           *session.Store[visit]
	touches, updates []time.Duration
}

func newMeter(t *testing.T, s setting) *meter {
	t.Helper()
	primary := redistest.Start(t, s.args...)
	for range s.replicas {
		replica := redistest.Start(t, append(s.args[:len(s.args):len(s.args)], "--replicaof", fmt.Sprint(primary.Host(), " ", primary.Port()))...)
		redistest.Eventually(t, replica.IsReplica, "the replica is complete")
	}
	rdb, err := rediskit.Connect(t.Context(), rediskit.Config{Addrs: []string{primary.Addr()}, Password: secrets.None()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	visits, err := newVisits(rdb, "t", s)
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{visits: visits}
	redistest.Eventually(t, func() bool {
		return m.visits.Put(context.Background(), "id", visit{Changes: "0"}) == nil
	}, "a change is acknowledged")
	return m
}

func (m *meter) measure(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	timed := func(call func() error) time.Duration {
		start := time.Now()
		if err := call(); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	for n := range callsEach {
		m.touches = append(m.touches, timed(func() error {
			_, err := m.visits.Touch(ctx, "id")
			return err
		}))
		m.updates = append(m.updates, timed(func() error {
			_, err := m.visits.Update(ctx, "id", func(v *visit) error {
				v.Changes = fmt.Sprint(n)
				return nil
			})
			return err
		}))
	}
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}
