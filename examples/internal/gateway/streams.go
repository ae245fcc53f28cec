package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/convkit/rediskit/examples/internal/updates"
	"github.com/convkit/rediskit/examples/internal/web"
	"github.com/convkit/rediskit/pubsub"
)

// A streamConfig has the limits of the event streams and WebSockets.
type streamConfig struct {
	buffer       int            // messages that a browser may be behind before it misses some
	history      pubsub.History // from which a browser that was cut off gets what it missed
	max          int            // streams and WebSockets at the same time
	writeTimeout time.Duration  // for one message or ping; then the connection is closed
	pingAfter    time.Duration  // time without events after which the browser gets a sign of life
	closeTimeout time.Duration  // for all together, at shutdown
}

var defaultStreamConfig = streamConfig{
	buffer:       2 * updates.History.Messages,
	history:      updates.History,
	max:          200,
	writeTimeout: 5 * time.Second,
	pingAfter:    20 * time.Second,
	closeTimeout: 3 * time.Second,
}

// streams counts the open event streams and WebSockets. An HTTP server does not wait for
// connections that were hijacked, and waits too long for a browser that does not read.
type streams struct {
	cfg     streamConfig
	ended   context.Context
	cut     context.CancelFunc
	mu      sync.Mutex
	open    int
	refused bool
	idle    chan struct{} // closed when refused is set and none is open
}

func newStreams(cfg streamConfig) *streams {
	ended, cut := context.WithCancel(context.Background())
	return &streams{cfg: cfg, ended: ended, cut: cut, idle: make(chan struct{})}
}

// enter counts a new stream, or refuses it.
func (s *streams) enter(w http.ResponseWriter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused || s.open == s.cfg.max {
		w.Header().Set("Retry-After", "5")
		return web.Refuse(http.StatusServiceUnavailable, "too many dashboards are open, or the gateway is about to end")
	}
	s.open++
	return nil
}

func (s *streams) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.refused && s.open == 0 {
		close(s.idle)
	}
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// refuse makes enter refuse all that come.
func (s *streams) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused {
		return
	}
	s.refused = true
	if s.open == 0 {
		close(s.idle)
	}
}

// wait waits until none is open. When ctx ends it closes those that still are.
func (s *streams) wait(ctx context.Context) {
	defer s.cut()
	select {
	case <-s.idle:
	case <-ctx.Done():
		s.cut()
		<-s.idle
	}
}

// resync is sent to a page that has missed events. The page then reads its snapshot
// again.
var resync = []byte(`{"event":"resync"}`)

// alive is sent to a page after a time without events, to show that its connection still
// works. The page sees neither pings nor comments, because the browser handles them.
var alive = []byte(`{"event":"alive"}`)

// A frame is what a page gets of one event.
type frame struct {
	data     []byte
	position string // behind which a page may go on; empty if the event has none
}

// next returns the next frame, or one without data when it is time for a sign of life.
func (cfg streamConfig) next(ctx context.Context, sub *pubsub.Subscription[envelope]) (frame, error) {
	pingCtx, cancel := context.WithTimeout(ctx, cfg.pingAfter)
	defer cancel()
	for {
		m, err := sub.Next(pingCtx)
		var gap *pubsub.GapError
		var decode *pubsub.DecodeError
		switch {
		case err == nil:
			return frame{m.Raw, m.Position}, nil
		case errors.As(err, &gap):
			return frame{data: resync}, nil
		case errors.As(err, &decode): // the message is no update, and is skipped
		case ctx.Err() == nil && pingCtx.Err() != nil && sub.Err() == nil:
			return frame{}, nil
		default:
			return frame{}, err
		}
	}
}
