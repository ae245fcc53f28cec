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

// patient has time-outs that a busy machine does not exceed.
var patient = streamConfig{buffer: 1024, history: updates.History, max: 10, writeTimeout: time.Hour, pingAfter: time.Hour, closeTimeout: 10 * time.Second}

// A service is a gateway under test, over HTTP, in front of a manager whose handler the
// test chooses.
type service struct {
	*Service
	url  string
	http *http.Client
}

func newService(t *testing.T, redisAddr string, cfg streamConfig, manager http.HandlerFunc) *service {
	t.Helper()
	back := httptest.NewServer(manager)
	t.Cleanup(back.Close)
	s := &service{}
	var err error
	if s.Service, err = open(t.Context(), exampletest.Dial(t, redisAddr), back.URL, cfg); err != nil {
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

// echo is a manager that answers with the request: method and path in X-Asked, the
// speaker in X-By, and the body.
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
	// A small kernel buffer, so that the gateway soon notices a browser that does not read.
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

// emptied refuses new WebSockets and waits until the last one has ended.
func (s *service) emptied() {
	s.streams.refuse()
	<-s.streams.idle
}

// next returns the next frame that contains want, and skips others.
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

// publish publishes an event about a conversation as another service does.
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
