package session_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

// collect walks through All and expects no error.
func collect(t testing.TB, store *session.Store[talk]) map[string]int {
	t.Helper()
	found := map[string]int{}
	for entry, err := range store.All(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := found[entry.ID]; twice {
			t.Errorf("%s was yielded twice", entry.ID)
		}
		found[entry.ID] = entry.Session.N
	}
	return found
}

func TestAllYieldsEverySessionOnceAndCountCountsThem(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		want, n := map[string]int{}, 2500
		if !s.Real() {
			n = 200 // miniredis looks at every key before every command
		}
		rdb := s.Client()
		pipe := rdb.Pipeline()
		for i := range n {
			id := fmt.Sprintf("{%d}*?[é", i) // ids may hold any bytes
			want[id] = i
			pipe.HSet(ctx, keyOf(s, id), "speaker_id", "user_1", "state", "answered", "n", i)
			pipe.Expire(ctx, keyOf(s, id), time.Minute)
			pipe.Set(ctx, s.Prefix()+":other:"+id, "x", time.Minute)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			t.Fatal(err)
		}
		create(t, store, "new", aTalk())
		want["new"] = 0
		if got := collect(t, store); !maps.Equal(got, want) {
			t.Errorf("All yields %d sessions, want %d", len(got), len(want))
		}
		if n, err := store.Count(ctx); err != nil || n != len(want) {
			t.Errorf("Count = %d, %v; want %d", n, err, len(want))
		}
	})
}

func TestAllGoesOnAfterAHashThatIsNoSession(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		store, ctx := newStore[talk](t, s), t.Context()
		otherProgram(t, s, "broken", "speaker_id", "user_1", "state", "answered", "n", "canary")
		s.Client().Set(ctx, keyOf(s, "text"), "x", time.Minute)
		create(t, store, "1", aTalk())
		create(t, store, "2", aTalk())
		seen := map[string]error{}
		for entry, err := range store.All(ctx) {
			seen[entry.ID] = err
		}
		if len(seen) != 4 || seen["1"] != nil || seen["2"] != nil ||
			!errors.Is(seen["broken"], session.ErrCorrupt) || !errors.Is(seen["text"], session.ErrWrongType) {
			t.Errorf("%v", seen)
		}
	})
}

func TestAllStopsWhereItsCallerDoesAndWhereRedisDoes(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for i := range 5 {
			create(t, newStore[talk](t, s), fmt.Sprint(i), aTalk())
		}
		n := 0
		for range newStore[talk](t, s).All(t.Context()) {
			if n++; n == 2 {
				break
			}
		}
		if n != 2 {
			t.Errorf("the walk went on to %d", n)
		}

		for _, fails := range []string{"scan", "hgetall"} {
			down := errors.New("down")
			rdb := s.Hooked(func(next func() error, names ...string) error {
				if names[0] == fails {
					return down
				}
				return next()
			})
			store := newStoreOn[talk](t, s, rdb)
			var entries []session.Entry[talk]
			var last error
			for entry, err := range store.All(t.Context()) {
				entries, last = append(entries, entry), err
			}
			if len(entries) != 1 || entries[0].ID != "" || last == nil {
				t.Errorf("%s fails: %v, %v", fails, entries, last)
			}
			if _, err := store.Count(t.Context()); (err != nil) != (fails == "scan") {
				t.Errorf("%s fails: Count %v", fails, err)
			}
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		store := newStore[talk](t, s)
		for entry, err := range store.All(ctx) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("after the end of its context: %v, %v", entry, err)
			}
		}
		if _, err := store.Count(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Count after the end of its context: %v", err)
		}
	})
}

// SCAN may return a key twice while Redis makes room or takes it away.
func TestAllYieldsOnceWhatRedisReturnsTwice(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	create(t, newStore[talk](t, s), "1", aTalk())
	rdb := s.Client()
	rdb.AddHook(doubleScan{func(redis.Cmder) {}})
	store := newStoreOn[talk](t, s, rdb)
	n, err := store.Count(t.Context())
	if found := collect(t, store); len(found) != 1 || n != 1 || err != nil {
		t.Errorf("found %v, counted %d, %v", found, n, err)
	}
}

// doubleScan returns each key twice.
type doubleScan struct{ redistest.Spy }

func (doubleScan) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if scan, ok := cmd.(*redis.ScanCmd); ok && err == nil {
			keys, cursor := scan.Val()
			scan.SetVal(append(keys, keys...), cursor)
		}
		return err
	}
}
