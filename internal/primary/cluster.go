package primary

import (
	"context"
	"maps"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/attach"
	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/sender"
)

// clusterEvery is the pause between two looks at a Cluster while something follows.
const clusterEvery = time.Second

// mapPause is the time that go-redis takes to use a new map.
const mapPause = 20 * time.Millisecond

// A Cluster has one Watch for each node, and one map of the slots. go-redis asks one
// node at random which node owns which slots, and believes it. A node whose bus is cut
// still names itself. Here every node is asked. For each slot, the claim with the
// greatest configuration epoch counts.
type Cluster struct {
	cfg  Config
	life *life.Life
	rdb  *redis.ClusterClient
	turn chan struct{} // holds a token while a look is under way

	// With the turn.
	last   slotMap
	lastAt time.Time

	mu        sync.Mutex
	nodes     map[string]*Watch        // by address
	clients   map[string]*redis.Client // by address, those that have a host in it
	owners    map[string]bool          // addresses of those that own slots
	confirmed time.Time                // when the last look began, zero if most primaries did not answer
	looking   bool
	host      string // of a node that answered

	listeners listeners

	told bool // that a permission is missing
}

// NewCluster returns a Cluster. Its Dial is for the options of the client that Attach
// then gets.
func NewCluster(cfg Config) *Cluster {
	return &Cluster{
		cfg: cfg, life: life.New(cfg.OnError), turn: make(chan struct{}, 1),
		nodes: map[string]*Watch{}, clients: map[string]*redis.Client{},
	}
}

// Dial is go-redis's Options.Dialer of every node. A node that is known from a
// redirection alone, such as MOVED 1 :6379, is at the host that was asked last.
func (c *Cluster) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	node := c.Node(addr)
	if !hasHost(addr) {
		_, port, _ := net.SplitHostPort(addr)
		c.mu.Lock()
		addr = net.JoinHostPort(c.host, port)
		c.mu.Unlock()
	}
	return node.Dial(ctx, network, addr)
}

// Node returns the Watch of the node at addr.
func (c *Cluster) Node(addr string) *Watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.nodes[addr]
	if w == nil {
		w = New(c.cfg)
		w.cluster = c
		c.nodes[addr] = w
	}
	return w
}

// Attach makes rdb use the map. Call it before rdb is used.
func (c *Cluster) Attach(rdb *redis.ClusterClient) {
	c.rdb = rdb
	attach.To(rdb, &c.listeners)
	rdb.OnNewNode(func(node *redis.Client) {
		c.mu.Lock()
		defer c.mu.Unlock()
		node.AddHook(slotsHook{c})
		// A node that go-redis knows from a redirection without a host is asked by its
		// other name: its answers are read by the host that was asked.
		if addr := node.Options().Addr; hasHost(addr) {
			c.clients[addr] = node
		}
	})
}

// reload makes rdb ask for the map soon.
func (c *Cluster) reload() { c.rdb.ReloadState(context.Background()) }

func (c *Cluster) startLooking() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.looking {
		c.looking = c.life.Go(context.Background(), c.look)
	}
}

// look looks at the nodes again and again, until nothing follows any of them.
func (c *Cluster) look(ctx context.Context) {
	for c.stillNeeded() {
		c.lookOnce(ctx)
		time.Sleep(jitter(clusterEvery))
	}
}

func (c *Cluster) lookOnce(ctx context.Context) {
	defer life.Recover(c.cfg.OnError) // the next look comes all the same
	before := c.view()
	if now, err := c.ask(ctx); err == nil && now.text != before.text {
		c.reload()
	}
}

func (c *Cluster) stillNeeded() bool {
	for _, node := range c.watches() {
		if node.followed() {
			return true
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looking = false
	return false
}

func (c *Cluster) watches() map[string]*Watch {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.nodes)
}

// view returns the map of the last look.
func (c *Cluster) view() slotMap {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	return c.last
}

// ask asks every node which node owns which slots, unless that was just done.
func (c *Cluster) ask(ctx context.Context) (slotMap, error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return slotMap{}, context.Cause(ctx)
	}
	if time.Since(c.lastAt) < fresh {
		return c.last, nil
	}
	began := time.Now()
	answers, err := c.askAll(context.WithValue(ctx, askingKey{}, true))
	if len(answers) == 0 {
		return slotMap{}, err
	}
	merged := merge(answers)
	if !merged.majority && c.last.majority && merged.epoch < c.last.epoch && began.Sub(c.lastAt) < insistFor {
		return c.last, nil // only nodes that were cut off have answered
	}
	c.last, c.lastAt = merged, began
	c.apply(merged, began)
	return merged, nil
}

// askAll returns the answers of all nodes, and the error of one that did not answer.
func (c *Cluster) askAll(ctx context.Context) (answers []nodeAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.patience())
	defer cancel()
	var mu sync.Mutex
	var asking sync.WaitGroup
	c.mu.Lock()
	for addr, client := range c.clients {
		asking.Go(func() {
			slots, nodes := redis.NewCmd(ctx, "cluster", "slots"), redis.NewStringCmd(ctx, "cluster", "nodes")
			sender.Send(ctx, client, sender.Repeatable, slots, nodes)
			answer, failure := parseAnswer(addr, slots, nodes)
			mu.Lock()
			defer mu.Unlock()
			if failure != nil {
				err = failure
				return
			}
			answers = append(answers, answer)
		})
	}
	c.mu.Unlock()
	asking.Wait()
	return answers, err
}

// confirmedAt returns when the node at addr was last known to count, zero if it is not.
func (c *Cluster) confirmedAt(addr string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.owners[addr] {
		return time.Time{}
	}
	return c.confirmed
}

// apply ends the following of nodes that own no slot any more, and confirms the
// others if most primaries have answered.
func (c *Cluster) apply(m slotMap, began time.Time) {
	c.mu.Lock()
	before := c.owners
	c.owners, c.confirmed = m.owners, time.Time{}
	c.host = m.host
	if m.majority {
		c.confirmed = began
	}
	tell := m.denied && !c.told
	c.told = c.told || tell
	c.mu.Unlock()
	if before != nil && !maps.Equal(before, m.owners) {
		time.AfterFunc(mapPause, c.listeners.call) // once go-redis has the map
	}
	c.forget(m)
	if tell {
		c.life.Go(context.Background(), func(context.Context) { c.cfg.OnError(errNoNodes) })
	}
	for addr, node := range c.watches() {
		switch {
		case !m.owners[addr]:
			node.unfollow(ErrMoved)
		case m.majority:
			node.confirm(node.term(), began)
		}
	}
}

// forget removes the nodes that go-redis has forgotten.
func (c *Cluster) forget(m slotMap) {
	c.mu.Lock()
	clients := maps.Clone(c.clients)
	c.mu.Unlock()
	for addr, client := range clients {
		if m.nodes[addr] || !sender.IsClosed(client) {
			continue
		}
		c.mu.Lock()
		if c.clients[addr] == client {
			delete(c.clients, addr)
			delete(c.nodes, addr)
		}
		c.mu.Unlock()
	}
}

const errNoNodes safeError = "the user may not use CLUSTER NODES: grant +cluster|nodes, so that the newest owner of a slot is known while the Cluster's nodes disagree"

type askingKey struct{}

// slotsHook answers CLUSTER SLOTS from the answers of all nodes, so that go-redis's
// own code stays in charge of the map.
type slotsHook struct{ cluster *Cluster }

// DialHook changes nothing.
func (slotsHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing.
func (slotsHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook answers CLUSTER SLOTS.
func (h slotsHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		slots, ok := cmd.(*redis.ClusterSlotsCmd)
		if !ok || ctx.Value(askingKey{}) != nil {
			return next(ctx, cmd)
		}
		m, err := h.cluster.ask(ctx)
		if err != nil {
			cmd.SetErr(err)
			return err
		}
		slots.SetVal(m.slots)
		return nil
	}
}
