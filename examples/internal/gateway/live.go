package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/coder/websocket"

	"github.com/convkit/rediskit/pubsub"
)

// live passes updates on to a client over a WebSocket. Accept refuses pages of other
// origins. A client that was cut off begins anew: only an event stream goes on behind a
// position.
func (s *Service) live(w http.ResponseWriter, r *http.Request) error {
	if err := s.streams.enter(w); err != nil {
		return err
	}
	defer s.streams.leave()
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
	defer context.AfterFunc(s.streams.ended, func() { _ = conn.CloseNow() })()

	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	conn.SetReadLimit(1 << 10)
	reading.Go(func() { cancel(readControl(r.Context(), conn)) })
	err = s.streams.cfg.run(ctx, conn, sub)
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
func (cfg streamConfig) run(ctx context.Context, conn *websocket.Conn, sub *pubsub.Subscription[envelope]) error {
	for {
		frame, err := cfg.next(ctx, sub)
		writeCtx, cancel := context.WithTimeout(ctx, cfg.writeTimeout)
		switch {
		case err != nil:
		case frame.data != nil:
			err = conn.Write(writeCtx, websocket.MessageText, frame.data)
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
