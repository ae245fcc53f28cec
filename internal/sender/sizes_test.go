package sender_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

// knowing returns a Sender that knows how large values are: k has so many bytes.
func knowing(t *testing.T, size int) (*redis.Client, *sender.Sender) {
	t.Helper()
	rdb := redistest.Mini(t).Client()
	rdb.Set(t.Context(), "k", strings.Repeat("x", size), time.Minute)
	c := sender.New(rdb, false)
	for range 200 {
		if _, err := get(t.Context(), c, "k"); err != nil {
			t.Fatal(err)
		}
	}
	return rdb, c
}

// mget asks for n values at once, by another key than their own: large ones are
// remembered by it.
func mget(t *testing.T, c *sender.Sender, n int) {
	args := append([]any{"mget"}, slices.Repeat([]any{"k"}, n)...)
	c.Do(t.Context(), sender.Read, "several", redis.NewSliceCmd(t.Context(), args...))
}

func TestALargeValueDoesNotSharePipelinesOnceItsSizeIsKnown(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, ctx := s.Client(), t.Context()
		big, small := s.Prefix()+":big", s.Prefix()+":small"
		rdb.Set(ctx, big, strings.Repeat("x", sender.Large), time.Minute)
		rdb.Set(ctx, small, "x", time.Minute)
		c := sender.New(rdb, false)
		for range 2 { // its size is known after the first, and is kept after the second
			if v, err := get(ctx, c, big); err != nil || len(v) != sender.Large {
				t.Fatal(len(v), err)
			}
		}
		g := newGate(rdb)
		others := g.fill(t, c, sender.Read, small)
		others.Go(func() { get(ctx, c, small) })
		redistest.Eventually(t, func() bool { return c.Queued() == 1 }, "a small one is queued")
		others.Go(func() { get(ctx, c, big) })
		redistest.Eventually(t, func() bool { return len(g.sent()) == sender.MaxDirect+sender.MaxPipelines+1 }, "the large one is sent directly")
		close(g.open)
		others.Wait()

		rdb.Set(ctx, big, "x", time.Minute)
		if _, err := get(ctx, c, big); err != nil {
			t.Fatal(err)
		}
		g.open = make(chan struct{})
		others = g.fill(t, c, sender.Read, small)
		others.Go(func() { get(ctx, c, big) })
		redistest.Eventually(t, func() bool { return c.Queued() == 1 }, "it is small now")
		close(g.open)
		others.Wait()
	})
}

func TestManyValuesDoNotSharePipelines(t *testing.T) {
	t.Parallel()
	rdb, c := knowing(t, 4<<10)
	g := newGate(rdb)
	others := g.fill(t, c, sender.Read, "k")
	others.Go(func() { mget(t, c, 10) })
	redistest.Eventually(t, func() bool { return c.Queued() == 1 }, "ten are queued")
	others.Go(func() { mget(t, c, 20) })
	redistest.Eventually(t, func() bool { return len(g.sent()) == sender.MaxDirect+sender.MaxPipelines+1 }, "twenty are sent directly")
	close(g.open)
	others.Wait()
}

func TestAPipelineIsBoundedByTheSizeOfItsReplies(t *testing.T) {
	t.Parallel()
	rdb, c := knowing(t, 16<<10)
	g := newGate(rdb)
	others := g.fill(t, c, sender.Read, "k")
	for range 100 {
		others.Go(func() { get(t.Context(), c, "k") })
	}
	redistest.Eventually(t, func() bool { return c.Queued() == 100 }, "a hundred are queued")
	close(g.open)
	others.Wait()
	commands, most := 0, 0
	for _, keys := range g.sent() {
		commands, most = commands+len(keys), max(most, len(keys))
	}
	if commands != sender.MaxDirect+sender.MaxPipelines+100 || most > 20 || most < 8 {
		t.Errorf("%d commands, up to %d in a round trip; want 106, at most 20, which is some 256 KiB", commands, most)
	}
}

func TestACallCountsWithAllValuesThatItAsksFor(t *testing.T) {
	t.Parallel()
	rdb, c := knowing(t, 4<<10)
	g := newGate(rdb)
	others := g.fill(t, c, sender.Read, "k")
	for range 30 {
		others.Go(func() { mget(t, c, 10) })
	}
	redistest.Eventually(t, func() bool { return c.Queued() == 30 }, "thirty are queued")
	close(g.open)
	others.Wait()
	most := 0
	for _, keys := range g.sent() {
		most = max(most, len(keys))
	}
	if most != 6 {
		t.Errorf("%d MGETs of 10 values of 4 KiB in a round trip; want 6, which is some 256 KiB", most)
	}
}
