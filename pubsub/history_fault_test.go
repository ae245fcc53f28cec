package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/keys"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

// The hub has heard what the promoted replica does not have.
func TestAFailoverThatLosesMessagesIsAGap(t *testing.T) {
	t.Parallel()
	old := redistest.Start(t)
	replica := redistest.Start(t, "--replicaof", fmt.Sprint(old.Host(), " ", old.Port()))
	proxy := redistest.StartProxy(t, old.Addr())
	before := newTopic[int](t, old.Client(), "ch", history(100))
	promoted := replica.Client()
	redistest.Eventually(t, func() bool {
		return strings.Contains(promoted.Info(t.Context(), "replication").Val(), "master_link_status:up")
	}, "the replica follows")
	listening := old.Client(func(o *redis.Options) { o.Addr = proxy.Addr() })
	hub := listen(t, newTopic[int](t, listening, "ch", history(100)))
	sub := hub.Subscribe()
	publishAll(t, before, 0, 5)
	expectRange(t, sub, 0, 4)
	kept := positionOf(t, sub, 4)
	redistest.Eventually(t, func() bool { return promoted.XLen(t.Context(), keys.Sibling("history", "ch")).Val() == 5 }, "copied")

	if err := promoted.ReplicaOf(t.Context(), "no", "one").Err(); err != nil {
		t.Fatal(err)
	}
	publishAll(t, before, 5, 8)
	expectRange(t, sub, 5, 7)
	lost := positionOf(t, sub, 7)
	proxy.Down()
	proxy.MoveTo(replica.Addr())
	topic := newTopic[int](t, replica.Client(), "ch", history(100))
	publishAll(t, topic, 100, 101)
	proxy.Up()
	expect(t, sub, "gap 0", "100")
	publish(t, topic, 101)
	expect(t, sub, "101")

	// A reader that goes on behind either sees the gap, and in a new process only that of
	// the message that is lost.
	expect(t, after(t, hub, kept), "5", "6", "7", "gap 0", "100", "101")
	expect(t, after(t, hub, lost), "gap 0", "100", "101")
	other := listen(t, topic)
	expect(t, after(t, other, kept), "100", "101")
	expect(t, after(t, other, lost), "gap 0", "100", "101")
}

// What was confirmed before and heard by nobody, a server may have lost with its memory.
func TestARestartIsAGapAndWhatIsKeptComes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	proxy := redistest.StartProxy(t, server.Addr())
	listening := server.Client(func(o *redis.Options) { o.Addr = proxy.Addr() })
	sub := listen(t, newTopic[int](t, listening, "ch", history(100))).Subscribe()
	topic := newTopic[int](t, server.Client(), "ch", history(100))
	publish(t, topic, 0)
	expect(t, sub, "0")
	proxy.Down()
	publishAll(t, topic, 1, 2)
	server.Kill()
	server.Restart()
	redistest.Eventually(t, func() bool { n, err := topic.Publish(t.Context(), 2); return n == 0 && err == nil }, "published")
	proxy.Up()
	expect(t, sub, "gap 0", "1", "2")
}

// An old message is enough to know that nothing is missing.
func TestAQuietChannelHealsThoughItsHistoryHasExpired(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		hub := listen(t, newTopic[int](t, through(s, proxy), s.Prefix(), history(100)))
		topic := newTopic[int](t, s.Client(), s.Prefix(), history(100))
		sub := hub.Subscribe()
		publish(t, topic, 0)
		position := positionOf(t, sub, 0)
		if n := s.Client().Del(t.Context(), keys.Sibling("history", s.Prefix())).Val(); n != 1 { // as if it had expired
			t.Fatalf("%d histories", n)
		}
		proxy.Cut() // nothing is missed
		redistest.Eventually(t, func() bool { return hub.Stats().Reconnects == 1 }, "restored")
		proxy.Down()
		publishAll(t, topic, 1, 2)
		proxy.Up()
		expect(t, sub, "1")
		expect(t, after(t, hub, position), "1")
		expect(t, after(t, listen(t, topic), position), "1")
		if got := hub.Stats(); got.Gaps != 0 || got.Healed != 1 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestASlowSubscriptionMissesHealedMessagesAsOthers(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		hub := listen(t, newTopic[int](t, through(s, proxy), s.Prefix(), history(100), buffer(100)))
		topic := newTopic[int](t, s.Client(), s.Prefix(), history(100))
		quick, slow := hub.Subscribe(), hub.Subscribe()
		publishAll(t, topic, 0, 50)
		expectRange(t, quick, 0, 50)
		proxy.Down()
		publishAll(t, topic, 50, 140)
		proxy.Up()
		expectRange(t, quick, 50, 140)
		expect(t, slow, "missed 40")
		expectRange(t, slow, 40, 140)
	})
}

// Many messages come while the hub reads back, and readers see each once and in order.
func TestHealingUnderAFloodOfMessages(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		const messages, batch = 30_000, 100
		listening := s.Client(func(o *redis.Options) { o.ClientName = s.Prefix() })
		var subs []*pubsub.Subscription[int]
		var hubs []*pubsub.Hub[int]
		for range 3 {
			hub := listen(t, newTopic[int](t, listening, s.Prefix(), history(messages)))
			hubs, subs = append(hubs, hub), append(subs, hub.Subscribe())
		}
		topic := newTopic[int](t, s.Client(), s.Prefix(), history(messages))
		publishing := redistest.Async(func() (any, error) {
			for i := 0; i < messages; i += batch {
				var values []int
				for n := i; n < i+batch; n++ {
					values = append(values, n)
				}
				if err := topic.PublishAll(t.Context(), values...); err != nil {
					return nil, err
				}
			}
			return nil, nil
		})
		var reading sync.WaitGroup
		var read atomic.Int64
		for i, sub := range subs {
			reading.Go(func() {
				for n := range messages {
					if m, err := sub.Next(within(t)); err != nil || m.Value != n {
						t.Errorf("hub %d brought %s, want %d", i, describe(m, err), n)
						return
					}
					read.Add(1)
				}
			})
		}
		for killed := range int64(10) {
			redistest.Eventually(t, func() bool { return read.Load() >= killed*messages/5 || t.Failed() }, "they read")
			killListeners(t, s.Client(), s.Prefix())
		}
		reading.Wait()
		if err := (<-publishing).Err; err != nil {
			t.Error(err)
		}
		for _, hub := range hubs {
			if got := hub.Stats(); got.Healed == 0 || got.Gaps != 0 {
				t.Errorf("stats = %+v", got)
			}
		}
	})
}

// A reply is an error reply of Redis.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

// A reluctant server answers commands that read the history as the test says.
type reluctant struct {
	answer atomic.Pointer[func(ctx context.Context) error]
	after  atomic.Pointer[chan struct{}] // when it is closed, the server's own answer comes
	asked  chan struct{}                 // receives a token for each such command
}

func (r *reluctant) delay(until chan struct{}) { r.after.Store(&until) }

func (r *reluctant) set(answer func(ctx context.Context) error) { r.answer.Store(&answer) }

func reluctantClient(s *redistest.Server) (*redis.Client, *reluctant) {
	r := &reluctant{asked: make(chan struct{}, 1000)}
	rdb := s.Client(func(o *redis.Options) { o.ClientName = s.Prefix() })
	rdb.AddHook(r)
	return rdb, r
}

func (r *reluctant) DialHook(next redis.DialHook) redis.DialHook { return next }
func (r *reluctant) ProcessPipelineHook(n redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return n
}

func (r *reluctant) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		isRead := len(cmd.Args()) == 7 // evalsha or eval, script, 2, keys, position, count
		if answer := r.answer.Load(); isRead && answer != nil {
			r.asked <- struct{}{}
			if err := (*answer)(ctx); err != nil {
				cmd.SetErr(err)
				return err
			}
		}
		err := next(ctx, cmd)
		if after := r.after.Load(); isRead && after != nil && err == nil {
			r.asked <- struct{}{}
			<-*after
		}
		return err
	}
}

// The second loss comes after the history was read because of the first one, and nothing is
// published after it.
func TestASecondLossWhileTheHistoryIsReadHealsToo(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb := through(s, proxy)
		server := &reluctant{asked: make(chan struct{}, 1000)}
		rdb.AddHook(server)
		hub := listen(t, newTopic[int](t, rdb, s.Prefix(), history(10)))
		topic := newTopic[int](t, s.Client(), s.Prefix(), history(10))
		sub := hub.Subscribe()
		publish(t, topic, 0)
		expect(t, sub, "0")
		answered := make(chan struct{})
		server.delay(answered)
		proxy.Cut()
		<-server.asked
		proxy.Down()
		publishAll(t, topic, 1, 2)
		proxy.Up()
		redistest.Eventually(t, func() bool { return hub.Stats().Reconnects == 2 }, "restored twice")
		close(answered)
		expect(t, sub, "1")
		if got := hub.Stats(); got.Gaps != 0 {
			t.Errorf("stats = %+v", got)
		}
	})
}

func TestCloseWhileTheHistoryIsReadIsPrompt(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		rdb, server := reluctantClient(s)
		hub := listen(t, newTopic[int](t, rdb, s.Prefix(), history(10)))
		sub := hub.Subscribe()
		server.set(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		killListeners(t, s.Client(), s.Prefix())
		<-server.asked
		if err := hub.Close(); err != nil {
			t.Error(err)
		}
		if _, err := sub.Next(t.Context()); !errors.Is(err, pubsub.ErrClosed) {
			t.Errorf("Next: %v", err)
		}
	})
}

func TestListenEndsWithItsContextWhileTheHistoryIsRead(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, server := reluctantClient(s)
		server.set(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		ctx, cancel := context.WithCancel(t.Context())
		listening := redistest.Async(func() (*pubsub.Hub[int], error) {
			return newTopic[int](t, rdb, s.Prefix(), history(10)).Listen(ctx)
		})
		<-server.asked
		cancel()
		if err := (<-listening).Err; !errors.Is(err, context.Canceled) {
			t.Errorf("Listen: %v", err)
		}
	})
}

func TestAHistoryThatCannotBeReadIsAGap(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{
		"refused":    reply("NOPERM this user has no permissions to run the 'xrange' command"),
		"unreadable": reply("ERR something"),
	} {
		t.Run(name, func(t *testing.T) {
			redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
				rdb, server := reluctantClient(s)
				hub := listen(t, newTopic[int](t, rdb, s.Prefix(), history(10), liveness(300*time.Millisecond)))
				topic := newTopic[int](t, s.Client(), s.Prefix(), history(10))
				sub := hub.Subscribe()
				publish(t, topic, 0)
				expect(t, sub, "0")
				server.set(func(context.Context) error { return answer })
				killListeners(t, s.Client(), s.Prefix())
				topic.Publish(t.Context(), 1) // may be lost
				expect(t, sub, "gap 0")
				redistest.Eventually(t, func() bool { n, _ := topic.Publish(t.Context(), 2); return n == 1 }, "heard again")
				for got := ""; got != "2"; {
					if got = next(t, sub); got != "1" && got != "2" {
						t.Fatalf("received %q", got)
					}
				}
				server.set(func(context.Context) error { return nil })
				killListeners(t, s.Client(), s.Prefix())
				redistest.Eventually(t, func() bool { n, _ := topic.Publish(t.Context(), 3); return n == 1 }, "heard again")
				for got := ""; got != "3"; {
					if got = next(t, sub); got != "2" && got != "3" && got != "gap 0" {
						t.Fatalf("received %q", got)
					}
				}
			})
		})
	}
}

// The Hub's own connection may be there before the pool has one, as when few client slots
// are free.
func TestAnOutageWhileTheHistoryIsReadIsNoGap(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{
		"no slot":     reply("ERR max number of clients reached"),
		"unreachable": io.EOF,
	} {
		t.Run(name, func(t *testing.T) {
			redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
				rdb, server := reluctantClient(s)
				hub := listen(t, newTopic[int](t, rdb, s.Prefix(), history(10), liveness(100*time.Millisecond)))
				topic := newTopic[int](t, s.Client(), s.Prefix(), history(10))
				sub := hub.Subscribe()
				publish(t, topic, 0)
				expect(t, sub, "0")
				failures := hub.Stats().Errors
				var since time.Time // of the first failure; the answers end after twice Liveness
				server.set(func(context.Context) error {
					if since.IsZero() {
						since = time.Now()
					}
					if time.Since(since) > 200*time.Millisecond {
						return nil
					}
					return answer
				})
				killListeners(t, s.Client(), s.Prefix())
				topic.Publish(t.Context(), 1)
				expect(t, sub, "1")
				if hub.Stats().Errors == failures {
					t.Error("the history was read at once")
				}
			})
		})
	}
}

// On a Cluster too, each confirmed message is heard once and in order, whatever gaps tell.
func TestEachConfirmedMessageIsHeardOnceWhenTheOwnerChanges(t *testing.T) {
	t.Parallel()
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := redistest.StartCluster(t, 3)
			channel := channelsOf("updates:", 1)[0]
			kept := history(100_000)
			hub := listen(t, newTopic[int](t, cluster.Client(), channel, kept, func(cfg *pubsub.Config) { cfg.ProbeEvery = 200 * time.Millisecond }))
			sub := hub.Subscribe()
			topic := newTopic[int](t, cluster.Client(), channel, kept)
			var confirmed []int
			var stop atomic.Bool
			var publishing sync.WaitGroup
			publishing.Go(func() {
				for n := 0; !stop.Load(); n++ {
					if _, err := topic.Publish(t.Context(), n); err == nil {
						confirmed = append(confirmed, n)
					}
					time.Sleep(100 * time.Microsecond)
				}
			})
			change(t, cluster, channel)
			redistest.Eventually(t, func() bool { return hub.Stats().Reconnects > 0 }, "the hub has followed")
			stop.Store(true)
			publishing.Wait()
			redistest.Eventually(t, func() bool { _, err := topic.Publish(t.Context(), -1); return err == nil }, "the last one")
			var heard []int
			for {
				m, err := sub.Next(within(t))
				if gap := (*pubsub.GapError)(nil); errors.As(err, &gap) {
					continue
				} else if err != nil {
					t.Fatal(err)
				}
				if m.Value < 0 {
					break
				}
				heard = append(heard, m.Value)
			}
			if !slices.IsSorted(heard) || len(slices.Compact(slices.Clone(heard))) != len(heard) {
				t.Errorf("heard twice or out of order")
			}
			for _, n := range confirmed {
				if _, found := slices.BinarySearch(heard, n); !found {
					t.Errorf("%d was confirmed and not heard", n)
				}
			}
		})
	}
}
