package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/convkit/rediskit/examples/internal/web"
	"github.com/convkit/rediskit/pubsub"
)

// resync is sent to a page that has missed events. The page then reads its snapshot
// again.
var resync = []byte(`{"event":"resync"}`)

// alive is sent to a page after a time without events, to show that its WebSocket still
// works. The page does not see pings, because the browser answers them by itself.
var alive = []byte(`{"event":"alive"}`)

// A socketConfig has the limits of the WebSockets.
type socketConfig struct {
	buffer       int           // messages that a browser may be behind before it misses some
	max          int           // WebSockets at the same time
	writeTimeout time.Duration // for one message or ping; then the WebSocket is closed
	pingAfter    time.Duration // time without events after which the browser is pinged
	closeTimeout time.Duration // for all WebSockets together, at shutdown
}

var defaultSocketConfig = socketConfig{
	buffer:       1024,
	max:          200,
	writeTimeout: 5 * time.Second,
	pingAfter:    20 * time.Second,
	closeTimeout: 3 * time.Second,
}

// sockets counts the open WebSockets, because an HTTP server does not wait for
// connections that were hijacked.
type sockets struct {
	cfg     socketConfig
	ended   context.Context
	cut     context.CancelFunc
	mu      sync.Mutex
	open    int
	refused bool
	idle    chan struct{} // closed when refused is set and none is open
}

func newSockets(cfg socketConfig) *sockets {
	ended, cut := context.WithCancel(context.Background())
	return &sockets{cfg: cfg, ended: ended, cut: cut, idle: make(chan struct{})}
}

// enter counts a new WebSocket. It returns false if the WebSocket must be refused.
func (s *sockets) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused || s.open == s.cfg.max {
		return false
	}
	s.open++
	return true
}

func (s *sockets) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.refused && s.open == 0 {
		close(s.idle)
	}
}

func (s *sockets) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

// refuse makes enter refuse all further WebSockets.
func (s *sockets) refuse() {
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

// wait waits until no WebSocket is open. When ctx ends it closes those that still are.
func (s *sockets) wait(ctx context.Context) {
	defer s.cut()
	select {
	case <-s.idle:
	case <-ctx.Done():
		s.cut()
		<-s.idle
	}
}

// live passes updates on to a browser over a WebSocket. Accept refuses pages of other
// origins.
func (s *Service) live(w http.ResponseWriter, r *http.Request) error {
	if !s.sockets.enter() {
		w.Header().Set("Retry-After", "5")
		return web.Refuse(http.StatusServiceUnavailable, "too many dashboards are open, or the gateway is about to end")
	}
	defer s.sockets.leave()
	// Before the page can ask for its snapshot, so that it misses no event between the two.
	sub := s.hub.Subscribe()
	defer sub.Close()
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return nil // Accept has answered
	}
	var reading sync.WaitGroup
	defer reading.Wait()
	defer func() { _ = conn.CloseNow() }()
	defer context.AfterFunc(s.sockets.ended, func() { _ = conn.CloseNow() })()

	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	conn.SetReadLimit(1 << 10)
	reading.Go(func() { cancel(readControl(r.Context(), conn)) })
	err = s.sockets.cfg.run(ctx, conn, sub)
	switch {
	case errors.Is(context.Cause(ctx), errUnexpectedMessage):
		_ = conn.Close(websocket.StatusPolicyViolation, errUnexpectedMessage.Error())
	case errors.Is(err, pubsub.ErrClosed), errors.Is(err, pubsub.ErrClientClosed):
		_ = conn.Close(websocket.StatusGoingAway, "the gateway ends")
	}
	return nil // the connection is hijacked: no HTTP answer is possible
}

var errUnexpectedMessage = errors.New("a dashboard must not send messages")

// readControl handles pings, pongs and the close frame until the browser disconnects or
// sends a message. It then returns the reason. Conn.CloseRead is no replacement: after a
// message it waits 15 s for itself.
func readControl(ctx context.Context, conn *websocket.Conn) error {
	if _, _, err := conn.Reader(ctx); err != nil {
		return err
	}
	return errUnexpectedMessage
}

// run writes the events of sub to conn until either ends, and returns the reason.
func (cfg socketConfig) run(ctx context.Context, conn *websocket.Conn, sub *pubsub.Subscription[envelope]) error {
	for {
		frame, err := cfg.next(ctx, sub)
		writeCtx, cancel := context.WithTimeout(ctx, cfg.writeTimeout)
		switch {
		case err != nil:
		case frame != nil:
			err = conn.Write(writeCtx, websocket.MessageText, frame)
		default:
			if err = conn.Ping(writeCtx); err == nil {
				err = conn.Write(writeCtx, websocket.MessageText, alive)
			}
		}
		cancel()
		if err != nil {
			return err
		}
	}
}

// next returns the next frame, or nil when it is time for a ping.
func (cfg socketConfig) next(ctx context.Context, sub *pubsub.Subscription[envelope]) ([]byte, error) {
	pingCtx, cancel := context.WithTimeout(ctx, cfg.pingAfter)
	defer cancel()
	for {
		m, err := sub.Next(pingCtx)
		var gap *pubsub.GapError
		var decode *pubsub.DecodeError
		switch {
		case err == nil:
			return m.Raw, nil
		case errors.As(err, &gap):
			return resync, nil
		case errors.As(err, &decode): // the message is no update, and is skipped
		case ctx.Err() == nil && pingCtx.Err() != nil && sub.Err() == nil:
			return nil, nil
		default:
			return nil, err
		}
	}
}
