package subscriber

import (
	"context"
	"time"

	"github.com/convkit/rediskit/internal/life"
)

// startWriter starts the goroutine that writes, first the commands that restore what
// is wanted. It returns a channel that is closed when that goroutine has ended.
func (c *session) startWriter(ctx context.Context) <-chan struct{} {
	commands := c.restore()
	ended := make(chan struct{})
	started := c.sub.life.Go(ctx, func(context.Context) { // ctx ends with the session
		defer close(ended)
		c.hangUp(c.write(ctx, commands))
	})
	if !started {
		close(ended)
	}
	return ended
}

// restore returns the commands that subscribe all that is wanted. The session is live
// when these and the PING of connect are answered.
func (c *session) restore() []command {
	c.subscribed = map[topic]*interest{}
	commands := c.commandsFor(c.sub.topics.all())
	c.expect(command{kind: pong, pinged: c.start})
	c.expect(commands...)
	c.restoring = 1 + len(commands)
	return commands
}

// commandsFor returns the commands that bring the connection to what is wanted. Each
// topic has a command of its own, so that a refusal is of that topic alone.
func (c *session) commandsFor(changes []change) []command {
	var commands []command
	for _, change := range changes {
		t, in := change.topic, change.in
		if c.subscribed[t] == in {
			continue
		}
		kind := "subscribe"
		if in == nil {
			kind = "unsubscribe"
			delete(c.subscribed, t)
		} else {
			// Redis confirms a topic again that is still subscribed: for this interest.
			c.subscribed[t] = in
		}
		if t.pattern {
			kind = "p" + kind
		}
		commands = append(commands, command{kind: kind, topic: t, in: in})
	}
	return commands
}

// lookEvery is how often a session looks whether another primary has the slot of
// Config.Home. That costs no round trip.
const lookEvery = 250 * time.Millisecond

// doubtPatience is how long the server may send nothing after a PING that was sent
// because the connection is in doubt.
const doubtPatience = 600 * time.Millisecond

// write sends commands, those that become due, and a PING after each half of
// Config.Liveness, or at once if the connection is in doubt. It returns errMoved if
// Config.Home has moved. It returns errSilent if no frame was read in the half after a
// PING, or within doubtPatience. If the process itself stood still meanwhile, write sends
// another PING instead: a frame may have arrived that was not read yet.
func (c *session) write(ctx context.Context, commands []command) (err error) {
	defer life.Recover(func(panicked error) { err = panicked })
	liveness := c.sub.cfg.Liveness
	timer := time.NewTimer(liveness)
	defer timer.Stop()
	var look <-chan time.Time
	if c.sub.target.home != "" {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		look = ticker.C
	}
	half := liveness / 2
	var pinged time.Duration        // when the last PING was sent; the first one was connect's
	readByThen := time.Duration(-1) // c.lastRead at that time
	for {
		if ctx.Err() != nil || c.sub.life.Ended() { // what is due is of no use any more
			return context.Cause(ctx)
		}
		for _, command := range commands {
			if err := c.send(ctx, command); err != nil {
				return err
			}
		}
		commands = nil
		lastRead, now := time.Duration(c.lastRead.Load()), time.Since(c.start)
		left := pinged + half - now
		stoodStill := left < -liveness/8
		switch {
		case left > 0:
			timer.Reset(left)
			select {
			case <-timer.C:
			case <-c.sub.topics.wake:
				commands = c.due()
			case <-c.doubt:
				half = min(liveness/2, doubtPatience)
				pinged, readByThen = time.Since(c.start), time.Duration(c.lastRead.Load())
				commands = c.due(command{kind: pong, pinged: c.start.Add(pinged)})
			case <-look:
				if c.sub.target.moved(ctx) {
					return errMoved
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		case lastRead == readByThen && !stoodStill:
			return errSilent
		default:
			half = liveness / 2
			pinged, readByThen = now, lastRead
			commands = c.due(command{kind: pong, pinged: c.start.Add(now)})
		}
	}
}

// due returns the commands to send next: the given ones, then those for what has
// changed.
func (c *session) due(first ...command) []command {
	commands := append(first, c.commandsFor(c.sub.topics.changes())...)
	c.expect(commands...)
	return commands
}

// send writes one command.
func (c *session) send(ctx context.Context, command command) error {
	name := command.topic.name
	switch command.kind {
	case pong:
		return c.pubsub.Ping(ctx)
	case "subscribe":
		return c.pubsub.Subscribe(ctx, name)
	case "unsubscribe":
		return c.pubsub.Unsubscribe(ctx, name)
	case "psubscribe":
		return c.pubsub.PSubscribe(ctx, name)
	default:
		return c.pubsub.PUnsubscribe(ctx, name)
	}
}
