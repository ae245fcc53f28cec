package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/examples/internal/exampletest"
	"github.com/convkit/rediskit/examples/internal/updates"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// patient is a pace at which no busy machine fails a test.
var patient = pace{buffer: 1024, most: 10, write: time.Hour, ping: time.Hour, goodbye: 10 * time.Second}

// A service is what a test talks to, in front of a manager that answers
// whatever its handler does.
type service struct {
	*Service
	url  string
	http *http.Client
}

func newService(t *testing.T, redisAddr string, p pace, manager http.HandlerFunc) *service {
	t.Helper()
	back := httptest.NewServer(manager)
	t.Cleanup(back.Close)
	s := &service{}
	var err error
	if s.Service, err = open(t.Context(), exampletest.Dial(t, redisAddr), back.URL, p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	front := httptest.NewServer(s.Handler())
	t.Cleanup(front.Close)
	s.url, s.http = front.URL, front.Client()
	return s
}

// echo is a manager that tells how it was asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-Asked", r.Method+" "+r.URL.EscapedPath())
	w.Header().Set("X-By", r.Header.Get("X-Speaker-Id"))
	_, _ = w.Write(body)
}

type answered struct {
	status int
	header http.Header
	body   string
}

func (s *service) do(t *testing.T, method, path, body string, fields ...string) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	res, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return answered{res.StatusCode, res.Header, string(got)}
}

// A browser is a WebSocket of a dashboard.
type browser struct {
	t    *testing.T
	conn *websocket.Conn
}

func (s *service) browse(t *testing.T) *browser {
	t.Helper()
	// With little room in the kernel a browser that does not read is soon noticed.
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return conn, conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	}}
	conn, _, err := websocket.Dial(t.Context(), s.url+"/ws", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	return &browser{t, conn}
}

// emptied waits until the last WebSocket has ended. No more are let in.
func (s *service) emptied() {
	s.sockets.refuse()
	<-s.sockets.idle
}

// next is the next frame, once one comes that want is part of.
func (b *browser) next(want string) []byte {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	for {
		_, frame, err := b.conn.Read(ctx)
		if err != nil {
			b.t.Fatalf("while waiting for %s: %v", want, err)
		}
		if bytes.Contains(frame, []byte(want)) {
			return frame
		}
	}
}

// publish publishes an event about conversation as a service elsewhere would.
func publish(t *testing.T, rdb redis.UniversalClient, conversation, text string) []byte {
	t.Helper()
	payload, err := json.Marshal(updates.Event{
		ConversationID: conversation, Event: updates.MessageReceived, Data: updates.Data{SpeakerID: "user_1", Text: text},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.Publish(t.Context(), updates.Channel, payload).Err(); err != nil {
		t.Fatal(err)
	}
	return payload
}
