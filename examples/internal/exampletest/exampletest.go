// Package exampletest has what the tests of the example services share.
package exampletest

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/secrets"
)

// Dial returns a client of the Redis at addr. The end of the test closes it.
func Dial(t *testing.T, addr string) redis.UniversalClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	rdb, err := rediskit.Connect(ctx, rediskit.Config{
		Addrs:        []string{addr},
		Password:     secrets.None(),
		ReadTimeout:  10 * time.Second, // a busy machine must not fail a test
		WriteTimeout: 10 * time.Second,
		PoolTimeout:  10 * time.Second,
		DialTimeout:  10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// Start runs a program until stop is called, and returns once the program has printed
// its welcome. stop returns the error of run.
func Start(t *testing.T, run func(context.Context, io.Writer) error) (out *Terminal, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, ended := &Terminal{welcome: make(chan struct{})}, make(chan error, 1)
	go func() { ended <- run(ctx, out) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	select { // without a time-out: to fill the database may take long
	case <-out.welcome:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return out, stop
}

// A Terminal keeps what a program has printed.
type Terminal struct {
	mu      sync.Mutex
	text    bytes.Buffer
	welcome chan struct{} // closed once the welcome was printed
}

func (t *Terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := []byte("Ctrl-C") // is in the last line of a welcome
	before := bytes.Contains(t.text.Bytes(), end)
	t.text.Write(b)
	if !before && bytes.Contains(t.text.Bytes(), end) {
		close(t.welcome)
	}
	return len(b), nil
}

// String returns everything that was printed so far.
func (t *Terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
