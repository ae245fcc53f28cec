package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestTwoGatewaysPassTheSameEventsOnUnchanged(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		var browsers []*browser
		for range 2 {
			s := newService(t, r.Addr(), patient, echo)
			browsers = append(browsers, s.browse(t), s.browse(t))
		}
		rdb := r.Client()
		for i := range 10 {
			id := fmt.Sprintf("%s-%d", r.Prefix(), i)
			// Whitespace, order and additional fields must stay as they were published.
			want := fmt.Sprintf(`{"data": {"x": [1.0, null]},  "conversation_id": %q, "event": "a new one"}`, id)
			if err := rdb.Publish(t.Context(), "conversation:updates", want).Err(); err != nil {
				t.Fatal(err)
			}
			for _, b := range browsers {
				if got := b.next(r.Prefix()); string(got) != want {
					t.Errorf("passed on was %s, want %s", got, want)
				}
			}
		}
	})
}

func TestMessagesThatAreNoUpdatesAreNotPassedOn(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), patient, echo)
	b, rdb := s.browse(t), r.Client()
	for _, payload := range []string{"", "text", "[1]", "7", `{"event": 7}`, `{"event": "x"`} {
		rdb.Publish(t.Context(), "conversation:updates", payload)
	}
	want := publish(t, rdb, "abc", "Oi")
	if got := b.next(""); !bytes.Equal(got, want) {
		t.Errorf("passed on was %s, want %s", got, want)
	}
}

func TestALostConnectionToRedisBecomesAResync(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, r *redistest.Server) {
		proxy := redistest.StartProxy(t, r.Addr())
		s := newService(t, proxy.Addr(), patient, echo)
		b, rdb := s.browse(t), r.Client()
		publish(t, rdb, r.Prefix()+"before", "")
		b.next(r.Prefix() + "before")
		proxy.Cut()
		if got := b.next("resync"); !bytes.Equal(got, resync) {
			t.Errorf("the frame is %s", got)
		}
		publish(t, rdb, r.Prefix()+"after", "")
		b.next(r.Prefix() + "after")
	})
}

func TestASlowBrowserMissesTheOldestEventsAndGetsAResync(t *testing.T) {
	t.Parallel()
	loses := func(t *testing.T, addr string, rdb *redis.Client) {
		t.Parallel()
		cfg := patient
		cfg.buffer, cfg.history.Messages = 8, 8
		s := newService(t, addr, cfg, echo)
		slow, quick := s.browse(t), s.browse(t)
		// More than the kernel buffers for a connection that nobody reads.
		text := strings.Repeat("x", 256<<10)
		const n = 40
		for i := range n {
			id := fmt.Sprintf("message-%d-", i)
			publish(t, rdb, id, text)
			quick.next(id)
		}
		last := fmt.Sprintf("message-%d-", n-1)
		got, resynced := 0, false
		for {
			frame := slow.next("")
			resynced = resynced || bytes.Equal(frame, resync)
			if bytes.Contains(frame, []byte("message-")) {
				got++
			}
			if bytes.Contains(frame, []byte(last)) {
				break
			}
		}
		if got == n || !resynced {
			t.Errorf("the slow browser got %d of %d messages, and a resync: %v", got, n, resynced)
		}
	}
	t.Run("miniredis", func(t *testing.T) {
		r := redistest.Mini(t)
		loses(t, r.Addr(), r.Client())
	})
	// On a server of its own, because messages of other tests would push the last one out.
	t.Run("redis", func(t *testing.T) {
		p := redistest.Start(t)
		loses(t, p.Addr(), p.Client())
	})
}

func TestABrowserThatDoesNotReadIsDisconnected(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	cfg := patient
	cfg.writeTimeout = 50 * time.Millisecond
	s := newService(t, r.Addr(), cfg, echo)
	s.browse(t)
	rdb := r.Client()
	for range 12 {
		publish(t, rdb, "abc", strings.Repeat("x", 1<<20))
	}
	s.emptied() // otherwise the test runs into its time-out
}

func TestABrowserThatDoesNotAnswerPingsIsDisconnected(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	cfg := patient
	cfg.pingAfter, cfg.writeTimeout = 5*time.Millisecond, 20*time.Millisecond
	s := newService(t, r.Addr(), cfg, echo)
	s.browse(t) // it never reads, so it answers no ping
	s.emptied() // otherwise the test runs into its time-out
}

func TestABrowserThatAnswersPingsStaysConnected(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	cfg := patient
	cfg.pingAfter = time.Millisecond
	s := newService(t, r.Addr(), cfg, echo)
	pinged := make(chan struct{}, 100)
	conn, _, err := websocket.Dial(t.Context(), s.url+"/ws", &websocket.DialOptions{
		OnPingReceived: func(context.Context, []byte) bool {
			select {
			case pinged <- struct{}{}:
			default:
			}
			return true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	b := &browser{t, conn}
	got := make(chan []byte)
	go func() { got <- b.next("abc") }()
	for range 10 {
		<-pinged
	}
	publish(t, r.Client(), "abc", "Oi")
	<-got
}

func TestAWebSocketWithoutEventsSendsAlive(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	cfg := patient
	cfg.pingAfter = time.Millisecond
	s := newService(t, r.Addr(), cfg, echo)
	b := s.browse(t)
	for range 3 {
		if got := b.next(""); !bytes.Equal(got, alive) {
			t.Errorf("the frame is %s", got)
		}
	}
}

func TestAnotherOriginIsRefused(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), patient, echo)
	for origin, want := range map[string]int{
		"https://elsewhere.example": http.StatusForbidden,
		"null":                      http.StatusForbidden,
		s.url:                       http.StatusSwitchingProtocols,
	} {
		conn, res, err := websocket.Dial(t.Context(), s.url+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
		if err == nil {
			defer conn.CloseNow()
		}
		if res == nil || res.StatusCode != want {
			t.Errorf("from %s: %v, %v; want %d", origin, res, err, want)
		}
	}
}

func TestABrowserThatSendsAMessageIsDisconnected(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), patient, echo)
	for _, text := range []string{"Oi", strings.Repeat("x", 1<<20)} { // the gateway does not read the long one to its end
		b := s.browse(t)
		_ = b.conn.Write(t.Context(), websocket.MessageText, []byte(text)) // the gateway may close the WebSocket meanwhile
		_, _, err := b.conn.Read(t.Context())
		if status := websocket.CloseStatus(err); status != websocket.StatusPolicyViolation && status != websocket.StatusMessageTooBig && len(text) < 1<<10 {
			t.Errorf("the WebSocket ended with %v", err)
		}
		redistest.Eventually(t, func() bool { return s.streams.count() == 0 }, "the WebSocket has ended")
	}
}

func TestMoreDashboardsThanAllowedAreRefused(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	cfg := patient
	cfg.max = 1
	s := newService(t, r.Addr(), cfg, echo)
	first := s.browse(t)
	if _, res, err := websocket.Dial(t.Context(), s.url+"/ws", nil); err == nil || res == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the second: %v, %v", res, err)
	}
	first.conn.CloseNow()
	redistest.Eventually(t, func() bool { return s.streams.count() == 0 }, "the first WebSocket has ended")
	s.browse(t)
}

func TestTheServersTimeoutsDoNotEndAWebSocket(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), patient, echo)
	const timeout = 100 * time.Millisecond
	front := httptest.NewUnstartedServer(s.Handler())
	front.Config.ReadTimeout, front.Config.WriteTimeout = timeout, timeout
	front.Start()
	defer front.Close()
	var conn *websocket.Conn
	redistest.Eventually(t, func() bool { // on a busy machine the time-outs may end a handshake
		var err error
		conn, _, err = websocket.Dial(t.Context(), front.URL+"/ws", nil)
		return err == nil
	}, "a handshake within the time-outs")
	defer conn.CloseNow()
	b, rdb := &browser{t, conn}, r.Client()
	for began := time.Now(); time.Since(began) < 3*timeout; {
		publish(t, rdb, "abc", "Oi")
		b.next("abc")
	}
}

func TestCloseLetsBrowsersReadWhatWasReceivedAndClosesThem(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), patient, echo)
		b, rdb := s.browse(t), r.Client()
		const n = 50
		received := s.hub.Subscribe()
		for i := range n {
			publish(t, rdb, fmt.Sprintf("%s-%d-", r.Prefix(), i), "")
		}
		for last := fmt.Sprintf("%s-%d-", r.Prefix(), n-1); ; { // a count would include other tests' messages
			if got, err := received.Next(t.Context()); err != nil {
				t.Fatal(err)
			} else if got.Value.ConversationID == last {
				break
			}
		}
		received.Close()
		ended := make(chan error, 1)
		go func() { ended <- s.Close() }()
		for i := range n {
			b.next(fmt.Sprintf("%s-%d-", r.Prefix(), i))
		}
		for {
			_, _, err := b.conn.Read(t.Context())
			if err == nil {
				continue // another test has published it
			}
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("the WebSocket ended with %v", err)
			}
			break
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, res, err := websocket.Dial(t.Context(), s.url+"/ws", nil); err == nil || res == nil || res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("after Close: %v, %v", res, err)
		}
	})
}

func TestASlowBrowserDoesNotDelayClose(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	cfg := patient
	cfg.closeTimeout = 10 * time.Millisecond
	s := newService(t, r.Addr(), cfg, echo)
	s.browse(t)
	rdb := r.Client()
	for range 20 {
		publish(t, rdb, "abc", strings.Repeat("x", 1<<20))
	}
	if err := s.Close(); err != nil { // otherwise the test runs into its time-out
		t.Error(err)
	}
}
