package primary

import (
	"context"
	"time"
)

const (
	// longPatience is how long the first doubtful connection may take to answer.
	// Once one has failed, the flows are lost, and the others get shortPatience.
	longPatience  = 150 * time.Millisecond
	shortPatience = 5 * time.Millisecond

	// probePause is the least time between two dials that time-outs cause.
	probePause = 100 * time.Millisecond
)

// TimedOut takes the news that a call, which began at began, had no reply in time. If
// the server answers on a fresh connection, then the idle ones are in doubt: a NAT or
// a firewall may have forgotten them, or their server may have vanished. Each must
// answer a PING before it is used again. That costs a healthy one a round trip, and
// spares each caller a time-out for each dead one.
func (w *Watch) TimedOut(began time.Time) {
	w.mu.Lock()
	outdated := w.current == nil || began.Before(w.current.began) || time.Since(w.probed) < probePause
	if !outdated {
		w.probed = time.Now()
	}
	w.mu.Unlock()
	if outdated || w.suspected.Swap(true) {
		return
	}
	w.lookSoon()
	w.life.Go(context.Background(), func(ctx context.Context) {
		defer w.suspected.Store(false)
		_ = w.Probe(ctx)
	})
}

// Probe dials the server that counts, greets it and hangs up. Once the server has
// answered, the idle connections are in doubt.
func (w *Watch) Probe(ctx context.Context) error {
	start := time.Now()
	conn, err := w.again(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	conn.(*socket).trusted.Store(w.doubt(longPatience + 2*time.Since(start)))
	return nil
}

// doubt makes older connections show that their server is still there, each within
// patience.
func (w *Watch) doubt(patience time.Duration) (doubts uint64) {
	w.patience.Store(int64(patience))
	doubts = w.doubts.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range w.sockets {
		if s.follower != nil {
			s.follower.OnDoubt()
		}
	}
	return doubts
}
