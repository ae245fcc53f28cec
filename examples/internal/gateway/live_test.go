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

func TestTwoGatewaysPassTheSameEventsOnAsTheyCame(t *testing.T) {
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
			// Space, order and further fields are the publisher's own.
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

func TestWhatIsNoUpdateIsNotPassedOn(t *testing.T) {
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

func TestASlowBrowserLosesTheOldestAndIsTold(t *testing.T) {
	t.Parallel()
	loses := func(t *testing.T, addr string, rdb *redis.Client) {
		t.Parallel()
		pace := patient
		pace.buffer = 8
		s := newService(t, addr, pace, echo)
		slow, quick := s.browse(t), s.browse(t)
		// More than the kernel keeps of a connection that nobody reads.
		text := strings.Repeat("x", 256<<10)
		const n = 40
		for i := range n {
			id := fmt.Sprintf("message-%d-", i)
			publish(t, rdb, id, text)
			quick.next(id)
		}
		last := fmt.Sprintf("message-%d-", n-1)
		got, told := 0, false
		for {
			frame := slow.next("")
			told = told || bytes.Equal(frame, resync)
			if bytes.Contains(frame, []byte("message-")) {
				got++
			}
			if bytes.Contains(frame, []byte(last)) {
				break
			}
		}
		if got == n || !told {
			t.Errorf("the slow one got %d of %d messages, told: %v", got, n, told)
		}
	}
	t.Run("miniredis", func(t *testing.T) {
		r := redistest.Mini(t)
		loses(t, r.Addr(), r.Client())
	})
	// Of its own: what other tests publish would push out the last message too.
	t.Run("redis", func(t *testing.T) {
		p := redistest.Start(t)
		loses(t, p.Addr(), p.Client())
	})
}

func TestABrowserThatReadsNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	pace := patient
	pace.write = 50 * time.Millisecond
	s := newService(t, r.Addr(), pace, echo)
	s.browse(t)
	rdb := r.Client()
	for range 12 {
		publish(t, rdb, "abc", strings.Repeat("x", 1<<20))
	}
	s.emptied() // the test's own time-out would strike
}

func TestABrowserThatIsGoneIsNoticedByPing(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	pace := patient
	pace.ping, pace.write = 5*time.Millisecond, 20*time.Millisecond
	s := newService(t, r.Addr(), pace, echo)
	s.browse(t) // that never reads, so it answers no ping
	s.emptied() // the test's own time-out would strike
}

func TestABrowserThatAnswersPingsStays(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	pace := patient
	pace.ping = time.Millisecond
	s := newService(t, r.Addr(), pace, echo)
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

func TestASilentWebSocketShowsThatItIsAlive(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	pace := patient
	pace.ping = time.Millisecond
	s := newService(t, r.Addr(), pace, echo)
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

func TestABrowserThatTalksIsClosed(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), patient, echo)
	for _, text := range []string{"Oi", strings.Repeat("x", 1<<20)} { // the longer one is not read to its end
		b := s.browse(t)
		_ = b.conn.Write(t.Context(), websocket.MessageText, []byte(text)) // it may have been closed meanwhile
		_, _, err := b.conn.Read(t.Context())
		if status := websocket.CloseStatus(err); status != websocket.StatusPolicyViolation && status != websocket.StatusMessageTooBig && len(text) < 1<<10 {
			t.Errorf("the end is %v", err)
		}
		redistest.Eventually(t, func() bool { return s.sockets.count() == 0 }, "the WebSocket has ended")
	}
}

func TestMoreDashboardsThanFitAreRefused(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	pace := patient
	pace.most = 1
	s := newService(t, r.Addr(), pace, echo)
	first := s.browse(t)
	if _, res, err := websocket.Dial(t.Context(), s.url+"/ws", nil); err == nil || res == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the second: %v, %v", res, err)
	}
	first.conn.CloseNow()
	redistest.Eventually(t, func() bool { return s.sockets.count() == 0 }, "room again")
	s.browse(t)
}

func TestTheServersWriteTimeoutCutsNoWebSocket(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	s := newService(t, r.Addr(), patient, echo)
	const timeout = 100 * time.Millisecond
	front := httptest.NewUnstartedServer(s.Handler())
	front.Config.ReadTimeout, front.Config.WriteTimeout = timeout, timeout
	front.Start()
	defer front.Close()
	var conn *websocket.Conn
	redistest.Eventually(t, func() bool { // on a busy machine they cut a handshake
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

func TestTheEndLetsBrowsersReadWhatHasComeAndSaysGoodbye(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, r *redistest.Server) {
		s := newService(t, r.Addr(), patient, echo)
		b, rdb := s.browse(t), r.Client()
		const n = 50
		for i := range n {
			publish(t, rdb, fmt.Sprintf("%s-%d-", r.Prefix(), i), "")
		}
		redistest.Eventually(t, func() bool { return s.hub.Stats().Received >= n }, "the messages")
		ended := make(chan error, 1)
		go func() { ended <- s.Close() }()
		for i := range n {
			b.next(fmt.Sprintf("%s-%d-", r.Prefix(), i))
		}
		for {
			_, _, err := b.conn.Read(t.Context())
			if err == nil {
				continue // of a test beside this one
			}
			if websocket.CloseStatus(err) != websocket.StatusGoingAway {
				t.Errorf("the end is %v", err)
			}
			break
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, res, err := websocket.Dial(t.Context(), s.url+"/ws", nil); err == nil || res == nil || res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("after the end: %v, %v", res, err)
		}
	})
}

func TestASlowBrowserDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	r := redistest.Mini(t)
	pace := patient
	pace.goodbye = 10 * time.Millisecond
	s := newService(t, r.Addr(), pace, echo)
	s.browse(t)
	rdb := r.Client()
	for range 20 {
		publish(t, rdb, "abc", strings.Repeat("x", 1<<20))
	}
	if err := s.Close(); err != nil { // the test's own time-out would strike
		t.Error(err)
	}
}
