package primary

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/convkit/rediskit/internal/life"
)

const (
	// lookEvery is the pause between two looks while a near cache, a hub or a waiter
	// follows the server, and lookAtRest between two that only the pool needs.
	lookEvery  = 500 * time.Millisecond
	lookAtRest = time.Second
)

// startLooking starts the looks if there are none and they are needed. It needs w.mu.
func (w *Watch) startLooking() {
	switch {
	case !w.needsLooks():
	case w.cluster != nil:
		w.cluster.startLooking()
	case !w.looking:
		w.looking = w.life.Go(context.Background(), w.look)
	}
}

// needsLooks reports whether something follows the server. With Sentinels, a
// connection is enough: the old primary may answer on it for ever. It needs w.mu.
func (w *Watch) needsLooks() bool {
	return w.follows > 0 || w.sentinels != nil && len(w.sockets) > 0
}

// look looks at the server again and again, until nobody needs it.
func (w *Watch) look(ctx context.Context) {
	anchor := anchor{watch: w}
	defer anchor.close()
	for w.rest() {
		w.lookOnce(ctx, &anchor)
	}
}

// rest returns when it is time for the next look, or false if there will be none.
func (w *Watch) rest() bool {
	pause := lookAtRest
	w.mu.Lock()
	if w.sentinels != nil && w.follows > 0 {
		pause = lookEvery
	}
	w.mu.Unlock()
	timer := time.NewTimer(jitter(pause))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.wake:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looking = w.needsLooks()
	w.rested()
	return w.looking
}

// jitter spreads the looks of many processes.
func jitter(d time.Duration) time.Duration { return d - d/8 + rand.N(d/4) }

func (w *Watch) lookOnce(ctx context.Context, a *anchor) {
	defer life.Recover(w.cfg.OnError) // the next look comes all the same
	if w.sentinels != nil {
		ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
		defer cancel()
		_, _, _ = w.locate(ctx) // begins a term and confirms
		return
	}
	t, began := w.term(), time.Now()
	if a.ask(ctx, began) {
		w.confirm(t, began)
	}
}

// again dials as the client did last.
func (w *Watch) again(ctx context.Context) (net.Conn, error) {
	w.mu.Lock()
	network, addr := w.network, w.addr
	w.mu.Unlock()
	return w.Dial(ctx, network, addr)
}

// An anchor is the connection of the looks at one address. The server there says on it
// that it is still a primary. It is made anew from time to time, because the address
// may lead to another server by now while the old one remains a primary.
type anchor struct {
	watch *Watch
	conn  net.Conn
	until time.Time
}

// ask reports whether the server still counts.
func (a *anchor) ask(ctx context.Context, now time.Time) bool {
	if a.conn != nil && now.Before(a.until) {
		_ = a.conn.SetDeadline(now.Add(a.watch.cfg.Timeout))
		role, err := sayHello(a.conn)
		var refused replyError
		switch {
		case err == nil && role.isReplica():
			a.watch.demoted(now)
		case err == nil, errors.As(err, &refused): // a server without HELLO is there too
			return true
		}
	}
	silent := a.conn != nil && now.Before(a.until)
	a.close()
	start := time.Now()
	conn, err := a.watch.again(ctx)
	if err != nil {
		return false
	}
	if silent { // and another connection is answered
		a.watch.doubt(longPatience + 2*time.Since(start))
	}
	a.conn, a.until = conn, now.Add(jitter(a.watch.cfg.Anew))
	return true
}

func (a *anchor) close() {
	if a.conn != nil {
		_ = a.conn.Close()
		a.conn = nil
	}
}
