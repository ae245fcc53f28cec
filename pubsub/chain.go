package pubsub

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/subscriber"
)

// A chain puts the messages of a channel with a history into a hub's log, each once and in
// order. Each message names the position before it. While that is the position of the newest
// message in the log, the messages go from the connection to the log. If it is not, or when
// the connection was lost and is restored, the chain heals (heal.go): it reads from the
// history what is missing, and what comes meanwhile waits.
type chain[T any] struct {
	hub        *Hub[T]
	of         string // the channel of the messages
	channel    string // of their positions
	historian  *historian
	life       *life.Life
	connection *subscriber.Subscriber
	first      chan error // receives the outcome of reading the history for the first time

	announced link // the newest that came without its message; of the connection's goroutine

	mu        sync.Mutex
	begun     bool     // both channels are subscribed
	complete  bool     // the history was read for the first time
	failure   error    // of the last attempt to read it
	position  position // of the newest message in the log, or where the history was read to
	behind    cursor   // in the log, behind that message
	gapped    bool     // the newest entry of the log is a gap
	foreign   bool     // a message without a position has come
	dialled   string   // the data set of the newest connection's server; "" if unknown
	server    string   // that of the newest live one
	connected bool
	cause     error // of the newest loss

	healing  bool
	again    bool        // the connection was restored since the history was read
	progress time.Time   // when the connection was restored, or a message was read
	waiting  []*entry[T] // what came meanwhile: the newest Config.Buffer
}

func newChain[T any](h *Hub[T], rdb redis.UniversalClient, channel string) *chain[T] {
	return &chain[T]{
		hub: h, of: channel, channel: positionsOf(channel),
		historian: newHistorian(rdb, channel),
		life:      life.New(h.reporter("read the history")),
		first:     make(chan error, 1),
	}
}

// begin subscribes to the positions and reads the history. It returns when the log has what
// the history has, and follows the connection.
func (c *chain[T]) begin(ctx context.Context, connection *subscriber.Subscriber) error {
	c.connection = connection
	if err := connection.Subscribe(ctx, c.channel); err != nil {
		return err
	}
	c.mu.Lock()
	c.begun, c.server, c.connected = true, c.dialled, true
	c.heal()
	c.mu.Unlock()
	select {
	case err := <-c.first:
		return err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return fmt.Errorf("%w; the history was not read: %w", ctx.Err(), c.failure)
	}
	return ctx.Err()
}

// stop ends the reading of the history and waits for it.
func (c *chain[T]) stop() {
	c.life.End(ErrClosed)
	c.life.Wait(math.MaxInt64)
}

// tune has each connection ask which data set its server has. A server has another one after
// a restart and after it was promoted: then it may lack what was confirmed before.
func (c *chain[T]) tune(o *redis.Options) {
	before := o.OnConnect
	o.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
		if before != nil {
			if err := before(ctx, cn); err != nil {
				return err
			}
		}
		// A server that is not asked successfully counts as another one each time.
		info := cn.Info(ctx, "replication").Val()
		_, id, _ := strings.Cut(info, "master_replid:")
		id, _, _ = strings.Cut(id, "\r\n")
		c.mu.Lock()
		c.dialled = id
		c.mu.Unlock()
		return nil
	}
}

// lost takes a loss of the connection, or a failed attempt to restore it.
func (c *chain[T]) lost(err error) {
	c.mu.Lock()
	c.connected = false
	c.mu.Unlock()
	c.hub.reporter("receive")(err)
}

// restored begins to read what was missed, when the connection was restored. A gap comes
// first if the history cannot vouch for all that was published.
func (c *chain[T]) restored(cause error) {
	c.announced = link{}
	c.mu.Lock()
	defer c.mu.Unlock()
	same := c.server != "" && c.server == c.dialled
	c.server, c.connected, c.cause = c.dialled, true, cause
	c.again, c.progress = true, time.Now()
	if !same || c.foreign {
		c.gap(cause)
	}
	c.heal()
}

// announce takes what is published ahead of a message.
func (c *chain[T]) announce(text string) {
	c.announced, _ = parseLink(text)
}

// take takes a message of the connection.
func (c *chain[T]) take(m *redis.Message) {
	var l link
	// On a Cluster, while the slot moves, messages of two nodes may reach the connection, and
	// another program's may come between a position and its message.
	if c.announced.size == len(m.Payload) {
		l, c.announced = c.announced, link{}
	}
	e := c.hub.entry(l, c.of, m.Payload)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.begun: // its position may have been missed, and the history has it
	case !c.healing && c.join(e):
	default:
		c.wait(e)
		c.heal()
	}
}

// join appends a message, or drops one that is in the log. It returns false if others are
// missing before it. It needs c.mu.
func (c *chain[T]) join(e *entry[T]) bool {
	switch {
	case e.at == position{}:
		c.foreign = true
		c.append(e)
	case e.before == c.position:
		c.append(e)
	default:
		return c.has(e.at)
	}
	return true
}

// append appends a message, whatever is missing before it. It needs c.mu.
func (c *chain[T]) append(e *entry[T]) {
	c.gapped = false
	c.hub.put(e)
	if e.at != (position{}) {
		c.position, c.behind = e.at, e.after(false)
	}
}

// skip takes the message at p for received. It needs c.mu.
func (c *chain[T]) skip(p position) {
	c.position = p
	c.behind, _ = c.hub.log.tailCursor()
}

// gap appends a gap, unless nothing has come since the last one. It needs c.mu.
func (c *chain[T]) gap(cause error) {
	if !c.gapped {
		c.gapped = true
		c.hub.log.append(&entry[T]{gap: &GapError{Cause: cause}})
	}
}

// has reports whether the log has a message at p. It needs c.mu.
func (c *chain[T]) has(p position) (found bool) {
	c.hub.log.newestFirst(func(e *entry[T]) bool {
		found = e.at == p
		return !found
	})
	return found
}

// wait keeps a message until the history was read. Of more than Config.Buffer the oldest is
// left to the history. Another program's is not there, and comes at once. It needs c.mu.
func (c *chain[T]) wait(e *entry[T]) {
	if len(c.waiting) == c.hub.cfg.Buffer {
		if oldest := c.waiting[0]; oldest.at == (position{}) {
			c.join(oldest)
		}
		c.waiting = c.waiting[1:]
	}
	c.waiting = append(c.waiting, e)
}
