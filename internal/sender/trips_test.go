package sender_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

func gets(ctx context.Context, keys []string) []redis.Cmder {
	cmds := make([]redis.Cmder, len(keys))
	for i, key := range keys {
		cmds[i] = redis.NewStringCmd(ctx, "get", key)
	}
	return cmds
}

func fill(t *testing.T, rdb *redis.Client, prefix string, n, size int) []string {
	t.Helper()
	keys := make([]string, n)
	pipe := rdb.Pipeline()
	for i := range keys {
		keys[i] = fmt.Sprint(prefix, i)
		pipe.Set(t.Context(), keys[i], strings.Repeat("v", size), time.Minute)
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestManySmallCommandsAreOneTripOnceTheirSizeIsKnown(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		keys := fill(t, rdb, s.Prefix(), 1000, 200)
		g, c := newGate(rdb), sender.New(rdb, false)
		close(g.open)
		c.DoMany(t.Context(), sender.Repeatable, gets(t.Context(), keys)...)
		if first := len(g.sent()); first > 3 {
			t.Errorf("%d trips at first", first)
		}
		before := len(g.sent())
		cmds := gets(t.Context(), keys)
		c.DoMany(t.Context(), sender.Repeatable, cmds...)
		if trips := len(g.sent()) - before; trips != 1 {
			t.Errorf("%d trips, want 1", trips)
		}
		if _, err := c.MGet(t.Context(), keys); err != nil || len(g.sent()) != before+2 {
			t.Errorf("MGET: %v, %d trips", err, len(g.sent())-before-1)
		}
	})
}

func TestManyLargeCommandsAreCutIntoTrips(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		const size = 100 << 10
		keys := fill(t, rdb, s.Prefix(), 100, size)
		g, c := newGate(rdb), sender.New(rdb, false)
		close(g.open)
		for range 3 { // also once the size is known
			for i, cmd := range run(t, c, keys) {
				if got := cmd.(*redis.StringCmd).Val(); len(got) != size {
					t.Fatalf("value %d has %d bytes, %v", i, len(got), cmd.Err())
				}
			}
		}
		for i, trip := range g.sent()[1:] { // the first one shows the size
			if len(trip) > sender.MaxBudget/size+1 {
				t.Errorf("trip %d has %d values of 100 KiB", i, len(trip))
			}
		}
		values, err := c.MGet(t.Context(), append(keys, s.Prefix()+"absent"))
		if err != nil || len(values) != 101 || values[100] != nil || len(values[0].(string)) != size {
			t.Errorf("MGET: %d values, %v", len(values), err)
		}
	})
}

func run(t *testing.T, c *sender.Sender, keys []string) []redis.Cmder {
	cmds := gets(t.Context(), keys)
	c.DoMany(t.Context(), sender.Repeatable, cmds...)
	return cmds
}

// A pipeline's replies share one ReadTimeout. Through a connection that carries 1 MB a
// second, 40 values of 50 kB take two seconds: four times as long.
func TestManyLargeValuesArriveThroughASlowConnection(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		keys := fill(t, s.Client(), s.Prefix(), 40, 50_000)
		proxy := redistest.StartProxy(t, s.Addr())
		proxy.Throttle(1 << 20)
		rdb := s.Client(func(o *redis.Options) { o.Addr, o.ReadTimeout = proxy.Addr(), 500*time.Millisecond })
		c := sender.New(rdb, false)
		for i, cmd := range run(t, c, keys) {
			if got := cmd.(*redis.StringCmd).Val(); len(got) != 50_000 {
				t.Fatalf("value %d has %d bytes, %v", i, len(got), cmd.Err())
			}
		}
		values, err := c.MGet(t.Context(), keys) // the size of a trip is known now
		if err != nil || len(values) != len(keys) {
			t.Errorf("MGET: %d values, %v", len(values), err)
		}
	})
}

func TestWhatWasNotSentFailsAfterATripThatFailed(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := s.Client(func(o *redis.Options) { o.Addr = proxy.Addr() })
		c := sender.New(rdb, false)
		set := make([]redis.Cmder, 2500)
		for i := range set {
			set[i] = redis.NewStatusCmd(t.Context(), "set", fmt.Sprint(s.Prefix(), i), "v", "px", 60_000)
		}
		proxy.DropReply(fmt.Sprint(s.Prefix(), 1500)) // in the second trip
		c.DoMany(t.Context(), sender.Change, set...)
		for i, want := range map[int]sender.Outcome{0: sender.Answered, 1499: sender.Answered, 1500: sender.MayHaveRun, 2499: sender.Unsent} {
			if got := sender.OutcomeOf(set[i].Err()); got != want {
				t.Errorf("command %d has the outcome %d, want %d: %v", i, got, want, set[i].Err())
			}
		}
		if n := s.Client().Exists(t.Context(), fmt.Sprint(s.Prefix(), 2499)).Val(); n != 0 {
			t.Error("a command of the last trip was sent")
		}
	})
}
