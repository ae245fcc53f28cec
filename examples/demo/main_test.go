package main

import (
	"context"
	"io"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/convkit/rediskit/examples/internal/exampletest"
	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// A running is a demo that the test has started.
type running struct {
	out  *exampletest.Terminal
	base string
	stop func() error // ends the demo and returns its error
}

// start runs the demo with the Redis at addr, or with one in this process if addr is
// empty.
func start(t *testing.T, addr string, quiet bool) *running {
	t.Helper()
	t.Setenv("REDIS_URL", "")
	t.Setenv("REDIS_ADDR", addr)
	o := options{addr: "127.0.0.1:0", path: filepath.Join(t.TempDir(), "conversations.db"), quiet: quiet}
	d := &running{}
	d.out, d.stop = exampletest.Start(t, func(ctx context.Context, out io.Writer) error { return run(ctx, o, out) })
	d.base = regexp.MustCompile(`Dashboard +(\S+)`).FindStringSubmatch(d.out.String())[1]
	return d
}

// messages returns the URL to send messages to, of the conversation in the welcome.
func (d *running) messages() string {
	return regexp.MustCompile(`http://\S+/messages`).FindString(d.out.String())
}
