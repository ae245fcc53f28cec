package gateway

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/convkit/rediskit/examples/internal/web"
	"github.com/convkit/rediskit/pubsub"
)

// retryAfter is the shortest time after which a browser opens a stream again that was cut.
// Each stream has another time, of up to twice that, so that not all come at once.
const retryAfter = 500 * time.Millisecond

// events passes updates on to a browser as server-sent events. The id of each is its
// position. A browser that was cut off sends the last one as Last-Event-ID, and gets
// what comes behind it. Its page, which cannot set that header on a new EventSource, sends
// it as the parameter after.
func (s *Service) events(w http.ResponseWriter, r *http.Request) error {
	if !ownPage(r) {
		return web.Refuse(http.StatusForbidden, "a page of another origin may not do this")
	}
	if err := s.streams.enter(w); err != nil {
		return err
	}
	defer s.streams.leave()
	sub, known := s.subscribe(r.Context(), cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after")))
	defer sub.Close()

	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := http.NewResponseController(w)
	defer context.AfterFunc(s.streams.ended, func() {
		cancel() // first, so that no write gets another deadline
		_ = out.SetWriteDeadline(time.Now())
	})()
	_ = out.SetReadDeadline(time.Time{}) // the server's time-outs are for short requests
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	first := fmt.Appendf(nil, "retry: %d\n\n", (retryAfter + rand.N(retryAfter)).Milliseconds())
	if !known {
		first = append(first, serverSent(frame{data: resync})...)
	}
	for text := first; ; {
		_ = out.SetWriteDeadline(time.Now().Add(s.streams.cfg.writeTimeout))
		if ctx.Err() != nil {
			return nil
		}
		if _, err := w.Write(text); err != nil {
			return nil // the browser has gone, or does not read
		}
		if err := out.Flush(); err != nil {
			return nil
		}
		next, err := s.streams.cfg.next(ctx, sub)
		if err != nil {
			return nil // the browser has gone, or the hub has ended
		}
		if next.data == nil {
			next.data = alive
		}
		text = serverSent(next)
	}
}

// subscribe returns a subscription that begins behind a position, or now without one. If the
// text is no position, it begins now, and known is false: events may be missing.
func (s *Service) subscribe(ctx context.Context, after string) (sub *pubsub.Subscription[envelope], known bool) {
	if after == "" {
		return s.hub.Subscribe(), true
	}
	sub, err := s.hub.SubscribeAfter(ctx, after)
	if err != nil {
		return s.hub.Subscribe(), false
	}
	return sub, true
}

// serverSent returns a frame in the form of a server-sent event.
func serverSent(f frame) []byte {
	var text []byte
	if f.position != "" {
		text = fmt.Appendf(text, "id: %s\n", f.position)
	}
	// In JSON a line break is white space. In a server-sent event it would end the data.
	data := bytes.ReplaceAll(f.data, []byte("\n"), []byte(" "))
	data = bytes.ReplaceAll(data, []byte("\r"), []byte(" "))
	return fmt.Appendf(text, "data: %s\n\n", data)
}
