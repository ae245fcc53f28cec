package pubsub

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/refusal"
)

const (
	// A page of the history has up to so many messages, and about so many bytes.
	maxPage      = 500
	maxPageBytes = 1 << 20

	firstHealPause = 5 * time.Millisecond
	maxHealPause   = 500 * time.Millisecond
)

var errNotRead = redact.New("the history could not be read in time")

// heal starts to read the history, unless that is under way. It needs c.mu.
func (c *chain[T]) heal() {
	if c.healing {
		return
	}
	c.healing, c.progress = true, time.Now()
	c.life.Go(context.Background(), c.run)
}

// A healing is one way back from the history to the connection. It has one goroutine.
type healing[T any] struct {
	*chain[T]
	count  int               // of messages that the next page may have
	known  map[position]bool // what the log had when the history lacked something; nil before
	oldest position          // of known
}

// run reads the history until the log follows the connection again.
func (c *chain[T]) run(ctx context.Context) {
	h := &healing[T]{chain: c, count: maxPage / 10}
	for pause := firstHealPause; ; {
		more, end, err := h.readPage(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, redis.ErrClosed):
			c.connection.Reconnect("the client was closed") // so that the subscriber finds it too
			return
		case err != nil:
			h.failed(redact.Clean(err))
		case end && h.joined(false):
			return
		}
		if more {
			pause = firstHealPause
			continue
		}
		// The server does not answer, or has not what the connection brings.
		if h.abandoned(err) {
			return
		}
		life.Sleep(ctx, pause)
		pause = min(2*pause, maxHealPause)
	}
}

// readPage appends a part of the history. It reports whether there were messages, and
// whether there are no more for now.
func (h *healing[T]) readPage(ctx context.Context) (more, end bool, err error) {
	defer life.Recover(func(panicked error) { err = panicked }) // in a hook of the client
	ctx, cancel := context.WithTimeout(ctx, h.hub.cfg.Liveness)
	defer cancel()
	h.mu.Lock()
	h.again = false
	from := h.position // only this goroutine changes it while the chain heals
	h.mu.Unlock()
	page, err := h.historian.read(ctx, from, h.count)
	if err != nil {
		return false, false, err
	}
	if !page.found && !page.follows(from) {
		h.lacks()
	}
	bytes := 0
	for _, k := range page.entries {
		bytes += len(k.payload)
		h.keep(h.hub.entry(k.link, h.of, k.payload))
	}
	n := len(page.entries)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case n > 0:
		h.count = max(1, min(maxPage, maxPageBytes/(bytes/n+1)))
		h.progress = time.Now()
	case !page.found:
		h.skip(page.newest) // its message is not kept any more
	}
	return n > 0, page.end, nil
}

// follows reports whether nothing is missing between from, which is not there any more, and
// the page.
func (p page) follows(from position) bool {
	if len(p.entries) > 0 {
		return p.entries[0].before == from
	}
	return p.newest == from
}

// lacks reports that the history lacks something, and notes what the log has. What was there
// before Listen nobody has missed.
func (h *healing[T]) lacks() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.complete {
		return
	}
	h.gap(cmp.Or(h.cause, ErrNotInHistory))
	h.known = map[position]bool{}
	h.hub.log.newestFirst(func(e *entry[T]) bool {
		if e.at != (position{}) {
			h.known[e.at], h.oldest = true, e.at
		}
		return true
	})
}

// keep appends a message of the history, unless the log has it or it is older than that.
func (h *healing[T]) keep(e *entry[T]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known[e.at] || e.at.time < h.oldest.time {
		h.skip(e.at)
		return
	}
	if h.complete {
		h.hub.stats.healed.Add(1)
	}
	h.append(e)
}

// joined appends what has come meanwhile. It reports whether the log follows the connection
// then: if not, the history has to be read again. With whatever, nothing has to fit.
func (h *healing[T]) joined(whatever bool) bool {
	for {
		if done, fits := h.joinNext(whatever); done || !fits {
			return done
		}
	}
}

// joinNext is joined for one message, so that the connection never waits for long.
func (h *healing[T]) joinNext(whatever bool) (done, fits bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.again && whatever {
		h.gap(h.cause)
	} else if h.again {
		return false, false
	}
	if len(h.waiting) == 0 {
		h.healing, h.waiting, h.cause = false, nil, nil
		if !h.complete {
			h.complete = true
			h.first <- nil
		}
		return true, true
	}
	switch next := h.waiting[0]; {
	case !whatever && next.at != (position{}) && next.at.time <= h.position.time:
		// It was read, or lies in a gap.
	case h.join(next):
	case whatever:
		h.append(next)
	default:
		return false, false
	}
	h.waiting = h.waiting[1:]
	return false, true
}

// failed notes and reports that the history was not read.
func (h *healing[T]) failed(err error) {
	h.mu.Lock()
	h.failure = err
	h.mu.Unlock()
	h.hub.reporter("read the history")(err)
}

// outagePatience is how many times Config.Liveness a history may take to be read because
// Redis is not reached for it, as when no client slot is free.
const outagePatience = 10

// abandoned gives up reading the history if the server refuses it for good, or if it has
// brought nothing for Config.Liveness, in an outage for longer, though the connection is
// there. What is missing is a gap then. For its first reading Listen waits instead.
func (h *healing[T]) abandoned(err error) bool {
	r, refused := refusal.Of(err)
	refused = refused && !r.Passes
	h.mu.Lock()
	patience := h.hub.cfg.Liveness
	if reply := redis.Error(nil); err != nil && (r.Passes || !errors.As(err, &reply)) {
		patience *= outagePatience
	}
	late := h.complete && h.connected && time.Since(h.progress) >= patience
	if !refused && !late {
		h.mu.Unlock()
		return false
	}
	if !h.complete {
		h.first <- redact.Clean(err)
		h.mu.Unlock()
		return true
	}
	h.gap(cmp.Or(h.cause, errNotRead))
	h.mu.Unlock()
	return h.joined(true)
}
