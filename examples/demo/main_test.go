package main

import (
	"bytes"
	"context"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// A terminal keeps what was printed.
type terminal struct {
	mu      sync.Mutex
	text    bytes.Buffer
	welcome chan struct{} // closed once it was printed
}

func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := bytes.Contains(t.text.Bytes(), []byte("Ctrl-C"))
	t.text.Write(b)
	if !before && bytes.Contains(t.text.Bytes(), []byte("Ctrl-C")) {
		close(t.welcome)
	}
	return len(b), nil
}

func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// A running is a demo that runs.
type running struct {
	out  *terminal
	base string
	stop func() error // ends it and returns its error
}

// start runs the demo over the Redis at addr, or over one of its own if addr
// is empty.
func start(t *testing.T, addr string, quiet bool) *running {
	t.Helper()
	t.Setenv("REDIS_URL", "")
	t.Setenv("REDIS_ADDR", addr)
	ctx, cancel := context.WithCancel(t.Context())
	d, ended := &running{out: &terminal{welcome: make(chan struct{})}}, make(chan error, 1)
	o := options{addr: "127.0.0.1:0", path: filepath.Join(t.TempDir(), "conversations.db"), quiet: quiet}
	go func() { ended <- run(ctx, o, d.out) }()
	d.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { d.stop() })
	select { // seeding takes as long as it takes
	case <-d.out.welcome:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	d.base = regexp.MustCompile(`Dashboard +(\S+)`).FindStringSubmatch(d.out.String())[1]
	return d
}

// talk is the URL of the conversation that the welcome shows.
func (d *running) talk() string {
	return regexp.MustCompile(`http://\S+/messages`).FindString(d.out.String())
}
