package session_test

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

// A wire is a hook that loses scripts or their replies.
type wire struct {
	mu    sync.Mutex
	fates []fate  // of the scripts to come
	sent  [][]any // those that met a fate
	then  func()  // called after the next script that meets a fate
}

type fate int

const (
	replyLost fate = iota // the script ran
	stuck                 // the script did not run, yet
	arrives
)

// meet sets the fates of the next scripts.
func (w *wire) meet(fates ...fate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fates, w.sent = fates, nil
}

// copies are the scripts that have met a fate since meet.
func (w *wire) copies() [][]any {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

func (w *wire) next(cmd redis.Cmder) fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cmd.Name() != "evalsha" || len(w.fates) == 0 {
		return arrives
	}
	f := w.fates[0]
	w.fates = w.fates[1:]
	w.sent = append(w.sent, slices.Clone(cmd.Args()))
	return f
}

// lost is what the client sees of a script that is stuck, or whose reply is lost.
func (w *wire) lost(cmd redis.Cmder) error {
	w.mu.Lock()
	then := w.then
	w.then = nil
	w.mu.Unlock()
	if then != nil {
		then()
	}
	cmd.SetErr(io.EOF)
	return io.EOF
}

func (w *wire) DialHook(next redis.DialHook) redis.DialHook { return next }

func (w *wire) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		f := w.next(cmd)
		if f == stuck {
			return w.lost(cmd)
		}
		err := next(ctx, cmd)
		if f == replyLost {
			return w.lost(cmd)
		}
		return err
	}
}

func (w *wire) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// wired is a store behind a wire, with all its scripts known to the server.
func wired(t testing.TB, s *redistest.Server, set ...func(*session.Config)) (*session.Store[talk], *wire) {
	t.Helper()
	w, rdb := &wire{}, s.Client()
	rdb.AddHook(w)
	store := newStoreOn[talk](t, s, rdb, set...)
	warm(t, store)
	return store, w
}

// warm makes the server know the scripts.
func warm(t testing.TB, store *session.Store[talk]) {
	t.Helper()
	every := calls(t, store)
	for _, name := range []string{"Create", "Put", "Touch", "Update", "Transition", "Delete"} {
		if err := every[name](context.Background(), "warm"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// A world is what Redis holds under id's key.
type world struct {
	fields map[string]string
	ttl    time.Duration
}

func worldOf(t testing.TB, s *redistest.Server, id string) world {
	t.Helper()
	return world{hash(t, s, id), left(t, s, id)}
}
