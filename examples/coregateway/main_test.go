package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/convkit/rediskit/examples/internal/exampletest"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestTheGatewayRunsWithoutItsManager(t *testing.T) {
	t.Setenv("REDIS_URL", "")
	t.Setenv("REDIS_ADDR", "")
	out, stop := exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
		return run(ctx, "127.0.0.1:0", "http://127.0.0.1:1", out)
	})
	address := regexp.MustCompile(`http://\S+`).FindString(out.String())
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for path, want := range map[string]int{"/": http.StatusOK, "/api/snapshot": http.StatusOK, "/healthz": http.StatusServiceUnavailable} {
		res, err := client.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, res.StatusCode, want)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAnInvalidManagerURLIsReported(t *testing.T) {
	t.Setenv("REDIS_URL", "")
	t.Setenv("REDIS_ADDR", "")
	for _, manager := range []string{"", "127.0.0.1:8081", "ftp://x", "http://", "http://[::1"} {
		if err := run(t.Context(), "127.0.0.1:0", manager, io.Discard); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:8081") {
			t.Errorf("%q: the error is %v", manager, err)
		}
	}
}

// A request that is being handled holds the server's shutdown up. A Dashboard must
// not wait for it: its browser then connects to another gateway at once.
func TestShutdownClosesDashboardsBeforeItWaitsForRequests(t *testing.T) {
	t.Setenv("REDIS_URL", "")
	t.Setenv("REDIS_ADDR", "")
	reached, answer := make(chan struct{}), make(chan struct{})
	manager := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(reached)
		<-answer
		w.WriteHeader(http.StatusCreated)
	}))
	defer manager.Close()
	out, stop := exampletest.Start(t, func(ctx context.Context, out io.Writer) error {
		return run(ctx, "127.0.0.1:0", manager.URL, out)
	})
	address := regexp.MustCompile(`http://\S+`).FindString(out.String())
	dashboard, _, err := websocket.Dial(t.Context(), address+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dashboard.CloseNow()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	status := make(chan int, 1)
	go func() {
		res, err := client.Post(address+"/speakers/a/conversations/b/messages", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		res.Body.Close()
		status <- res.StatusCode
	}()
	<-reached

	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	if _, _, err := dashboard.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the WebSocket ended with %v; want status %v", err, websocket.StatusGoingAway)
	}
	close(answer) // only now: a shutdown that waited for the request first has given it up
	if got := <-status; got != http.StatusCreated {
		t.Errorf("the request was answered %d; want %d", got, http.StatusCreated)
	}
	if err := <-ended; err != nil {
		t.Errorf("the gateway ended with %v; want no error", err)
	}
}

func TestAPortInUseIsReported(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	err = run(t.Context(), listener.Addr().String(), "http://127.0.0.1:1", io.Discard)
	if err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("the error is %v", err)
	}
}
