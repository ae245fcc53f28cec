package sender_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

// once are the classes that run once and share round trips, sharing all that share.
var (
	once    = []sender.Class{sender.Charge, sender.Change, sender.Take, sender.Keep}
	sharing = append([]sender.Class{sender.Read, sender.Repeatable}, once...)
)

// incr adds one to key.
func incr(ctx context.Context, c *sender.Sender, class sender.Class, key string) (int, error) {
	cmd := redis.NewCmd(ctx, "incr", key)
	if err := c.Do(ctx, class, key, cmd); err != nil {
		return 0, err
	}
	return cmd.Int()
}

func TestNoTwoClassesShareAPipeline(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	g, c := newGate(rdb), sender.New(rdb, false)
	var all sync.WaitGroup
	for _, class := range sharing {
		busy := g.fill(t, c, class, "busy")
		all.Go(busy.Wait)
	}
	const n = 10
	for _, class := range sharing {
		for range n {
			all.Go(func() { incr(t.Context(), c, class, fmt.Sprint("class ", class)) })
		}
	}
	redistest.Eventually(t, func() bool { return c.Queued() == n*len(sharing) }, "all are queued")
	close(g.open)
	all.Wait()
	pipelines := 0
	for _, keys := range g.sent() {
		if slices.Contains(keys, "busy") {
			continue
		}
		if pipelines++; len(slices.Compact(slices.Clone(keys))) != 1 {
			t.Errorf("a pipeline of %q", keys)
		}
	}
	if pipelines != len(sharing) {
		t.Errorf("%d pipelines, want one of each class", pipelines)
	}
}

func TestOneLostReplyFailsNothingThatMayRunTwice(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, class := range []sender.Class{sender.Read, sender.Repeatable} {
			rdb, proxy := through(t, s)
			g, c := newGate(rdb), sender.New(rdb, false)
			key := func(i int) string { return fmt.Sprintf("%s:%d:%02d:", s.Prefix(), class, i) }
			lost := proxy.DropReply(key(7))
			for i, err := range together(t, g, c, class, 30, func(i int) error {
				cmd := redis.NewCmd(t.Context(), "unlink", key(i))
				if err := c.Do(t.Context(), class, key(i), cmd); err != nil {
					return err
				}
				return cmd.Err()
			}) {
				if err != nil {
					t.Errorf("class %d, command %d: %v", class, i, err)
				}
			}
			<-lost
		}
	})
}

func TestALostConnectionLeavesOpenWhatRanOfAPipelineThatRunsOnce(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, class := range once {
			rdb, proxy := through(t, s)
			g, c := newGate(rdb), sender.New(rdb, false)
			key := func(i int) string { return fmt.Sprintf("%s:%d:%02d:", s.Prefix(), class, i) }
			const n, lost = 30, 12
			proxy.DropReply(key(lost))
			errs := together(t, g, c, class, n, func(i int) error {
				_, err := incr(t.Context(), c, class, key(i))
				return err
			})
			if errs[lost] == nil {
				t.Errorf("class %d: the command whose reply was lost has no error", class)
			}
			for i, err := range errs {
				ran, _ := s.Client().Get(t.Context(), key(i)).Int()
				s.Client().Del(t.Context(), key(i))
				if err != nil && sender.OutcomeOf(err) != sender.MayHaveRun || err == nil && ran != 1 || ran > 1 {
					t.Errorf("class %d, command %d ran %d times, and its caller was told %v", class, i, ran, err)
				}
			}
		}
	})
}

func TestACallThatLeavesTheQueueDidNotRunWhateverItsClass(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	for _, class := range sharing {
		rdb := s.Client()
		g, c := newGate(rdb), sender.New(rdb, false)
		others := g.fill(t, c, class, "busy")
		ctx, leave := context.WithCancel(t.Context())
		left := redistest.Async(func() (int, error) { return incr(ctx, c, class, "left") })
		redistest.Eventually(t, func() bool { return c.Queued() == 1 }, "it is queued")
		leave()
		if r := <-left; !errors.Is(r.Err, context.Canceled) || sender.OutcomeOf(r.Err) != sender.Unsent {
			t.Errorf("class %d: %v, outcome %d; want cancelled and unsent", class, r.Err, sender.OutcomeOf(r.Err))
		}
		close(g.open)
		others.Wait()
		if err := rdb.Get(t.Context(), "left").Err(); err != redis.Nil {
			t.Errorf("class %d: it ran: %v", class, err)
		}
	}
}

// The server did not know its script, so it did not run.
func TestACallThatLeavesBeforeItsSourceIsSentDidNotRun(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	rdb := s.Client()
	held, open, answered := make(chan struct{}, 1), make(chan struct{}), make(chan struct{}, 2)
	rdb.AddHook(hook(func(_ context.Context, cmds []redis.Cmder, next func() error) error {
		if cmds[0].Name() == "eval" {
			held <- struct{}{}
			<-open
			return next()
		}
		err := next()
		answered <- struct{}{} // NOSCRIPT
		return err
	}))
	c := sender.New(rdb, false)
	run := func(ctx context.Context, body string) error {
		return c.Run(ctx, sender.Change, sender.Call{Script: unknown(s, body), Keys: []string{"k"}}).Err()
	}
	teaches := redistest.Async(func() (int, error) { return 0, run(t.Context(), "return 1") })
	<-answered
	<-held
	ctx, leave := context.WithCancel(t.Context())
	leaves := redistest.Async(func() (int, error) { return 0, run(ctx, "return redis.call('INCR', KEYS[1])") })
	<-answered
	leave()
	if r := <-leaves; !errors.Is(r.Err, context.Canceled) || sender.OutcomeOf(r.Err) != sender.Unsent {
		t.Errorf("%v, outcome %d; want cancelled and unsent", r.Err, sender.OutcomeOf(r.Err))
	}
	close(open)
	if r := <-teaches; r.Err != nil {
		t.Error(r.Err)
	}
}

func TestLargeArgumentsGoByThemselves(t *testing.T) {
	t.Parallel()
	for _, class := range sharing {
		rdb := redistest.Mini(t).Client()
		g, c := newGate(rdb), sender.New(rdb, false)
		others := g.fill(t, c, class, "busy")
		set := func(key string, size int) {
			c.Do(t.Context(), class, key, redis.NewCmd(t.Context(), "set", key, make([]byte, size)))
		}
		others.Go(func() { set("small", sender.LargeArguments/2) })
		redistest.Eventually(t, func() bool { return c.Queued() == 1 }, "a small one is queued")
		others.Go(func() { set("large", sender.LargeArguments) })
		redistest.Eventually(t, func() bool {
			return slices.ContainsFunc(g.sent(), func(keys []string) bool { return slices.Equal(keys, []string{"large"}) })
		},
			"a large one is sent at once")
		close(g.open)
		others.Wait()
	}
}

func TestAPipelineIsBoundedByTheSizeOfItsArguments(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	g, c := newGate(rdb), sender.New(rdb, false)
	others := g.fill(t, c, sender.Change, "busy")
	const n = 100
	value := strings.Repeat("x", 8<<10)
	for range n {
		others.Go(func() {
			c.Do(t.Context(), sender.Change, "k", redis.NewCmd(t.Context(), "set", "k", value))
		})
	}
	redistest.Eventually(t, func() bool { return c.Queued() == n }, "all are queued")
	close(g.open)
	others.Wait()
	commands, most := 0, 0
	for _, keys := range g.sent() {
		commands, most = commands+len(keys), max(most, len(keys))
	}
	if commands != sender.MaxDirect+sender.MaxPipelines+n || most > 32 || most < 16 {
		t.Errorf("%d commands, up to %d of 8 KiB in a pipeline; want all of them, and some 256 KiB at most", commands, most)
	}
}

// A lock is given back at once, however many callers ask for locks.
func TestWhatIsHeldDoesNotWaitBehindWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	g, c := newGate(rdb), sender.New(rdb, false)
	asking := g.fill(t, c, sender.Take, "busy")
	for range 50 {
		asking.Go(func() { incr(t.Context(), c, sender.Take, "asked") })
	}
	redistest.Eventually(t, func() bool { return c.Queued() == 50 }, "fifty are queued")
	asking.Go(func() { incr(t.Context(), c, sender.Keep, "held") })
	redistest.Eventually(t, func() bool {
		return slices.ContainsFunc(g.sent(), func(keys []string) bool { return keys[0] == "held" })
	}, "it is sent")
	close(g.open)
	asking.Wait()
}

// WAIT blocks its connection, and counts the replicas of what was written on it.
func TestWaitStaysWithItsWriteAndSharesNoRoundTrip(t *testing.T) {
	t.Parallel()
	s := redistest.Real(t)
	rdb := s.Client()
	var mu sync.Mutex
	var sent []string
	rdb.AddHook(hook(func(_ context.Context, cmds []redis.Cmder, next func() error) error {
		var names []string
		for _, cmd := range cmds {
			names = append(names, cmd.Name())
		}
		mu.Lock()
		sent = append(sent, strings.Join(names, " "))
		mu.Unlock()
		return next()
	}))
	c := sender.New(rdb, false)
	key := s.Prefix() + "n"
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			ctx := t.Context()
			write, wait := redis.NewIntCmd(ctx, "incr", key), redis.NewIntCmd(ctx, "wait", 0, 1)
			if err := c.Do(ctx, sender.Pinned, key, write, wait); err != nil || write.Err() != nil || wait.Err() != nil {
				t.Error(err, write.Err(), wait.Err())
			}
		})
	}
	all.Wait()
	rdb.Expire(t.Context(), key, time.Minute)
	for _, names := range sent[:50] {
		if names != "incr wait" {
			t.Errorf("a round trip of %q", names)
		}
	}
}

func TestFewCallsAllocateNoMoreThanWithoutLanes(t *testing.T) {
	if redistest.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	rdb := redistest.Mini(t).Client()
	shared, direct := sender.New(rdb, false), sender.New(rdb, true)
	for _, class := range sharing {
		allocs := func(c *sender.Sender) float64 {
			return testing.AllocsPerRun(200, func() { incr(t.Context(), c, class, "k") })
		}
		allocs(direct) // the connection
		if got, want := allocs(shared), allocs(direct); got > want+0.5 {
			t.Errorf("class %d: %v allocations, want %v", class, got, want)
		}
	}
}
