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

// resync tells a page that it has missed something: it is to read its snapshot
// again.
var resync = []byte(`{"event":"resync"}`)

// alive tells a page, after a silence, that its WebSocket is no dead one: a
// browser does not show its page the pings.
var alive = []byte(`{"event":"alive"}`)

// A pace is how long the parts of a WebSocket may take, and how many there are.
type pace struct {
	buffer  int           // messages that a browser may be behind before it misses some
	most    int           // WebSockets at once
	write   time.Duration // for one message, before the browser is given up
	ping    time.Duration // of silence, before the browser is asked whether it is there
	goodbye time.Duration // for all of them, at the end
}

var defaultPace = pace{
	buffer:  1024,
	most:    200,
	write:   5 * time.Second,
	ping:    20 * time.Second,
	goodbye: 3 * time.Second,
}

// sockets are the WebSockets that are open. An HTTP server does not wait for
// what was hijacked from it.
type sockets struct {
	pace    pace
	ended   context.Context
	cut     context.CancelFunc
	mu      sync.Mutex
	open    int
	refused bool
	idle    chan struct{} // closed when refused and none is open
}

func newSockets(p pace) *sockets {
	ended, cut := context.WithCancel(context.Background())
	return &sockets{pace: p, ended: ended, cut: cut, idle: make(chan struct{})}
}

func (s *sockets) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused || s.open == s.pace.most {
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

// refuse lets no more in.
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

// wait waits until all have left, and cuts those off that are still there when
// ctx ends.
func (s *sockets) wait(ctx context.Context) {
	defer s.cut()
	select {
	case <-s.idle:
	case <-ctx.Done():
		s.cut()
		<-s.idle
	}
}

// live passes the updates on to a browser as they come. A page of another
// origin is refused.
func (s *Service) live(w http.ResponseWriter, r *http.Request) error {
	if !s.sockets.enter() {
		w.Header().Set("Retry-After", "5")
		return web.Refuse(http.StatusServiceUnavailable, "too many dashboards are open, or the gateway is about to end")
	}
	defer s.sockets.leave()
	// From before the page can ask for its snapshot, so that between the two
	// nothing is missed.
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
	reading.Go(func() { cancel(listen(r.Context(), conn)) })
	err = s.sockets.pace.run(ctx, conn, sub)
	switch {
	case errors.Is(context.Cause(ctx), errTalks):
		_ = conn.Close(websocket.StatusPolicyViolation, errTalks.Error())
	case errors.Is(err, pubsub.ErrClosed), errors.Is(err, pubsub.ErrClientClosed):
		_ = conn.Close(websocket.StatusGoingAway, "the gateway ends")
	}
	return nil // whoever has gone needs no answer
}

var errTalks = errors.New("a dashboard has nothing to say")

// listen answers pings and takes pongs until the browser goes, or talks.
// Conn.CloseRead would wait for itself then, for 15 s.
func listen(ctx context.Context, conn *websocket.Conn) error {
	if _, _, err := conn.Reader(ctx); err != nil {
		return err
	}
	return errTalks
}

// run returns why it could not go on.
func (p pace) run(ctx context.Context, conn *websocket.Conn, sub *pubsub.Subscription[envelope]) error {
	for {
		frame, err := p.next(ctx, sub)
		within, cancel := context.WithTimeout(ctx, p.write)
		switch {
		case err != nil:
		case frame != nil:
			err = conn.Write(within, websocket.MessageText, frame)
		default:
			if err = conn.Ping(within); err == nil {
				err = conn.Write(within, websocket.MessageText, alive)
			}
		}
		cancel()
		if err != nil {
			return err
		}
	}
}

// next returns the next frame, or none when it is time for a ping.
func (p pace) next(ctx context.Context, sub *pubsub.Subscription[envelope]) ([]byte, error) {
	until, cancel := context.WithTimeout(ctx, p.ping)
	defer cancel()
	for {
		m, err := sub.Next(until)
		var gap *pubsub.GapError
		var decode *pubsub.DecodeError
		switch {
		case err == nil:
			return m.Raw, nil
		case errors.As(err, &gap):
			return resync, nil
		case errors.As(err, &decode): // no update, whatever it is
		case ctx.Err() == nil && until.Err() != nil && sub.Err() == nil:
			return nil, nil
		default:
			return nil, err
		}
	}
}
