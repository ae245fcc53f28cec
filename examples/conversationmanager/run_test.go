package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/convkit/rediskit/examples/internal/exampletest"
	"github.com/convkit/rediskit/internal/redistest"
)

// start runs the service until stop is called. stop returns the error of run.
func start(t *testing.T, path string) (out *exampletest.Terminal, stop func() error) {
	t.Helper()
	return exampletest.Start(t, func(ctx context.Context, out io.Writer) error { return run(ctx, "127.0.0.1:0", path, 0, out) })
}

func TestTheRequestsThatTheWelcomeShowsWork(t *testing.T) {
	t.Setenv("REDIS_URL", "")
	t.Setenv("REDIS_ADDR", "")
	out, stop := start(t, filepath.Join(t.TempDir(), "conversations.db"))
	urls := regexp.MustCompile(`curl (?:-i )?(http://\S+)`).FindAllStringSubmatch(out.String(), -1)
	if len(urls) != 5 {
		t.Fatalf("the welcome shows %d requests: %s", len(urls), out)
	}
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for _, url := range urls {
		var res *http.Response
		var err error
		if strings.HasSuffix(url[1], "/messages") {
			res, err = client.Post(url[1], "application/json", strings.NewReader(`{"role": "user", "text": "E amanhã?"}`))
		} else {
			res, err = client.Get(url[1])
		}
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode >= 300 {
			t.Errorf("%s: status %d", url[1], res.StatusCode)
		}
	}
	redistest.Eventually(t, func() bool { return strings.Contains(out.String(), "misses 1") }, "a line with the numbers")
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestShutdownAnswersTheRequestThatIsBeingHandled(t *testing.T) {
	t.Setenv("REDIS_URL", "")
	t.Setenv("REDIS_ADDR", "")
	path := filepath.Join(t.TempDir(), "conversations.db")
	out, stop := start(t, path)
	url := regexp.MustCompile(`http://(\S+?)(/conversations/\S+/messages)`).FindStringSubmatch(out.String())
	conn, err := net.Dial("tcp", url[1])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	body := `{"role": "user", "text": "Até logo!"}`
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", url[2], len(body))
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err) // the handler has not begun to read
	}

	ended := make(chan error)
	go func() { ended <- stop() }()
	redistest.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", url[1])
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, "the end of the listener")
	io.WriteString(conn, body)
	answers.ReadString('\n') // the empty line after 100 Continue
	res, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Errorf("status %d, want 201", res.StatusCode)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTheServerInTheEnvironmentIsUsed(t *testing.T) {
	process := redistest.Start(t, "--requirepass", "canary")
	t.Setenv("REDIS_URL", "redis://:canary@"+process.Addr()+"/0")
	out, stop := start(t, filepath.Join(t.TempDir(), "conversations.db"))
	if !strings.Contains(out.String(), process.Addr()) || strings.Contains(out.String(), "canary") {
		t.Errorf("the welcome must name the server and hide its password: %s", out)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestAPortInUseIsReported(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	err = run(t.Context(), listener.Addr().String(), filepath.Join(t.TempDir(), "x.db"), 0, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "is taken") || !strings.Contains(err.Error(), "-addr") {
		t.Errorf("the error is %v", err)
	}
}

func TestARequestThatIsTooLongIsRefused(t *testing.T) {
	t.Setenv("REDIS_URL", "")
	t.Setenv("REDIS_ADDR", "")
	out, _ := start(t, filepath.Join(t.TempDir(), "conversations.db"))
	base := regexp.MustCompile(`http://\S+`).FindString(out.String())
	client := &http.Client{}
	defer client.CloseIdleConnections()
	res, err := client.Get(base + "/speakers/" + strings.Repeat("x", 1<<20) + "/conversations")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d, want 431", res.StatusCode)
	}
}
