package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/convkit/rediskit/examples/internal/exampletest"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestTheGatewayRunsAloneUntilItIsEnded(t *testing.T) {
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

func TestWhatIsNoURLOfAManagerIsSaid(t *testing.T) {
	t.Setenv("REDIS_URL", "")
	t.Setenv("REDIS_ADDR", "")
	for _, manager := range []string{"", "127.0.0.1:8081", "ftp://x", "http://", "http://[::1"} {
		if err := run(t.Context(), "127.0.0.1:0", manager, io.Discard); err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:8081") {
			t.Errorf("%q: the error is %v", manager, err)
		}
	}
}

func TestATakenPortIsSaid(t *testing.T) {
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
