package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

// An attempt is a change with what must be there before, what it must return, and what
// must be there afterwards.
type attempt struct {
	call   string
	before map[string]string // nil: no session
	err    error             // nil: the change is made
	state  string            // afterwards, "" for no session
	n      string
}

func attempts() map[string]attempt {
	waiting := map[string]string{"speaker_id": "user_1", "state": "waiting_for_llm", "n": "0"}
	answered := map[string]string{"speaker_id": "user_1", "state": "answered", "n": "0"}
	return map[string]attempt{
		"a Create":               {"Create", nil, nil, "waiting_for_llm", "0"},
		"a refused Create":       {"Create", answered, session.ErrExists, "answered", "0"},
		"a Put":                  {"Put", answered, nil, "waiting_for_llm", "0"},
		"a Touch":                {"Touch", waiting, nil, "waiting_for_llm", "0"},
		"a Touch of nothing":     {"Touch", nil, session.ErrNotFound, "", ""},
		"an Update":              {"Update", waiting, nil, "waiting_for_llm", "1"},
		"a winning Transition":   {"Transition", waiting, nil, "answered", "0"},
		"a losing Transition":    {"Transition", answered, session.ErrConflict, "answered", "0"},
		"a Transition of none":   {"Transition", nil, session.ErrNotFound, "", ""},
		"a Delete":               {"Delete", waiting, nil, "", ""},
		"a Delete of no session": {"Delete", nil, nil, "", ""},
	}
}

// arrange makes what a holds before.
func (a attempt) arrange(t testing.TB, s *redistest.Server, id string) {
	t.Helper()
	s.Client().Del(context.Background(), keyOf(s, id))
	for name, text := range a.before {
		otherProgram(t, s, id, name, text)
	}
}

// check fails the test unless a had its effect once.
func (a attempt) check(t testing.TB, s *redistest.Server, id, what string, err error) {
	t.Helper()
	if !errors.Is(err, a.err) {
		t.Errorf("%s: %v, want %v", what, err, a.err)
	}
	if got := hash(t, s, id); got["state"] != a.state || got["n"] != a.n {
		t.Errorf("%s: Redis holds %v, want state %q and n %q", what, got, a.state, a.n)
	}
}

func TestALostReplyChangesNoAnswer(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, retries := range []int{-1, 3} { // the client must not send it again by itself
			proxy := redistest.StartProxy(t, s.Addr())
			var reported redistest.Recorder
			rdb := s.Client(func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr(), retries })
			store := newStoreOn[talk](t, s, rdb, func(c *session.Config) { c.OnError = reported.OnError })
			warm(t, store)
			for name, a := range attempts() {
				id := fmt.Sprint(name, retries)
				a.arrange(t, s, id)
				sent := proxy.Requests("EVALSHA")
				lost := proxy.DropReply("evalsha")
				err := calls(t, store)[a.call](t.Context(), id)
				<-lost
				a.check(t, s, id, name, err)
				if n := proxy.Requests("EVALSHA") - sent; n != 2 {
					t.Errorf("%s was sent %d times", name, n)
				}
			}
			n := len(attempts())
			if got := store.Stats(); got.Resent != uint64(n) || got.Uncertain != 0 || len(reported.All()) != n {
				t.Errorf("%+v, OnError received %v", got, reported.All())
			}
		}
	})
}

func TestAReadWhoseReplyIsLostLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		store := newStoreOn[talk](t, s, s.Client(func(o *redis.Options) { o.Addr = proxy.Addr() }))
		create(t, store, "1", aTalk())
		for _, name := range []string{"Get", "Update"} {
			lost := proxy.DropReply("hgetall")
			err := calls(t, store)[name](t.Context(), "1")
			<-lost
			if !errors.Is(err, io.EOF) || errors.Is(err, session.ErrUncertain) || hash(t, s, "1")["n"] != "0" {
				t.Errorf("%s: %v, %v", name, err, hash(t, s, "1"))
			}
		}
	})
}

func TestTwoLostRepliesLeaveOpenWhatWasDoneOnceAtMost(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, w := wired(t, s)
		for name, a := range attempts() {
			for _, fates := range [][]fate{{replyLost, replyLost}, {stuck, replyLost}, {replyLost, stuck}, {stuck, stuck}} {
				id := fmt.Sprint(name, fates)
				a.arrange(t, s, id)
				w.meet(fates...)
				err := calls(t, store)[a.call](t.Context(), id)
				if !errors.Is(err, session.ErrUncertain) || !errors.Is(err, io.EOF) || len(w.copies()) != 2 {
					t.Errorf("%s: %v after %d copies", id, err, len(w.copies()))
				}
				replay(t, s, w.copies()...)
				a.err = session.ErrUncertain
				a.check(t, s, id, id, err)
			}
		}
		if got, want := store.Stats().Uncertain, uint64(4*len(attempts())); got != want {
			t.Errorf("%d counted as uncertain, want %d", got, want)
		}
	})
}

// replay delivers copies that were stuck.
func replay(t testing.TB, s *redistest.Server, copies ...[]any) {
	t.Helper()
	for _, args := range copies {
		if err := s.Client().Do(context.Background(), args...).Err(); err != nil {
			t.Errorf("replay: %v", err)
		}
	}
}

func TestFnRunsOnceForOneChangeThoughRepliesAreLost(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, w := wired(t, s)
		create(t, store, "1", aTalk())
		runs := 0
		count := func(v *talk) error { runs++; v.N++; return nil }
		for i, fates := range [][]fate{{replyLost}, {stuck}, {replyLost, replyLost}, {stuck, replyLost}} {
			w.meet(fates...)
			if _, err := store.Update(t.Context(), "1", count); (err != nil) != (len(fates) == 2) {
				t.Errorf("%v: %v", fates, err)
			}
			if got := hash(t, s, "1")["n"]; runs != i+1 || got != fmt.Sprint(i+1) {
				t.Errorf("%v: fn ran %d times, n = %s; want both %d", fates, runs, got, i+1)
			}
		}
	})
}

func TestRacingTransitionsHaveOneWinnerThoughRepliesAreLost(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		plain := newStore[talk](t, s)
		warm(t, plain)
		create(t, plain, "1", aTalk())
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		for i := range 20 {
			w, rdb := &wire{}, s.Client()
			rdb.AddHook(w)
			w.meet(fate(i % 3))
			state := stateOf(t, newStoreOn[talk](t, s, rdb))
			wg.Go(func() {
				switch _, err := state.Transition(t.Context(), "1", waitingForLLM, answered); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, session.ErrConflict):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 19 {
			t.Errorf("%d won and %d lost", won.Load(), lost.Load())
		}
	})
}

func TestWhatWasNotSentIsNotUncertain(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		refused := s.Client(func(o *redis.Options) { o.Addr = proxy.Addr() })
		proxy.Down()
		closed := s.Client()
		closed.Close()
		busy := s.Client(func(o *redis.Options) { o.PoolSize, o.PoolTimeout = 1, 5*time.Millisecond })
		held := busy.Conn()
		defer held.Close()
		held.Ping(t.Context())
		for what, rdb := range map[string]*redis.Client{"refused": refused, "closed": closed, "busy": busy} {
			store := newStoreOn[talk](t, s, rdb)
			for name, call := range calls(t, store) {
				if err := call(t.Context(), "1"); err == nil || errors.Is(err, session.ErrUncertain) {
					t.Errorf("%s, %s: %v", what, name, err)
				}
			}
			if got := store.Stats().Resent; got != 0 {
				t.Errorf("%s: %d sent again", what, got)
			}
		}
	})
}

func TestAContextThatEndsOnTheWireLeavesOpenWhetherTheChangeWasMade(t *testing.T) {
	t.Parallel()
	p := redistest.Start(t)
	store, err := session.New[talk](p.Client(), session.Config{Key: "session:*", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	warm(t, store)
	p.Pause()
	defer p.Resume()
	for _, name := range []string{"Create", "Put", "Touch", "Transition", "Delete"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := calls(t, store)[name](ctx, "1"); !errors.Is(err, session.ErrUncertain) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
	if got := store.Stats(); got.Resent != 0 || got.RedisErrors != 0 {
		t.Errorf("%+v, want nothing sent again and no error of Redis's", got)
	}
}
