package durability

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/redistest/netlab"
)

const (
	warmUp = 3 * time.Second // long enough for a snapshot
	apart  = 4 * time.Second // from a promotion until a cut network is whole again
	lag    = 2 * time.Second
	after  = 3 * time.Second // the clients go on for as long after the fault
)

// A run is one cell: a fault that is injected into servers with one setting.
type run struct {
	t       *testing.T
	fault   fault
	setting setting
	lab     *netlab.Lab // nil for faults that need no network of their own
	tag     string      // in all keys; on a Cluster it decides about the slot
	near    *client     // may be cut off together with the primary; it holds the lock
	far     *client     // waits for the lock
	began   time.Time   // the fault
}

// A target is what clients connect to.
type target struct {
	addrs  []string // of one server, of a Cluster or of Sentinels
	master string
}

// measure makes one run.
func measure(t *testing.T, f fault, s setting) figures {
	r := &run{t: t, fault: f, setting: s, tag: "t"}
	if f.network {
		r.lab = netlab.New(t)
	}
	survivor := f.inject(r)
	r.near.end()
	r.far.end()
	found := r.figures(survivor.SocketClient())
	t.Log(found)
	return found
}

// start lets both clients work for a while. The fault is due when it returns.
func (r *run) start(at target) {
	r.t.Helper()
	var near, far *netlab.Host
	if r.lab != nil {
		near, far = r.lab.Client(), r.lab.Client()
	}
	r.near = r.newClient("near", at, near)
	r.far = r.newClient("far", at, far)
	r.near.hold(true)
	r.far.hold(false)
	for _, c := range []*client{r.near, r.far} {
		c.change()
		c.ask()
	}
	time.Sleep(warmUp)
	r.began = time.Now()
}

// observe lets both clients work on after the fault.
func (r *run) observe() { time.Sleep(after) }

// soon waits for a condition for longer than a failover takes whose first vote fails.
func (r *run) soon(condition func() bool, what string) {
	r.t.Helper()
	redistest.Within(r.t, 30*time.Second, condition, what)
}

func isPrimary(p *redistest.Process) bool {
	rdb := p.SocketClient()
	defer rdb.Close()
	return strings.Contains(rdb.Info(context.Background(), "replication").Val(), "role:master")
}

func prefix(kind, tag string) string { return fmt.Sprintf("%s:{%s}:", kind, tag) }
