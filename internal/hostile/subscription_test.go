package hostile

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/pubsub"
)

// subscriptionsTellNothing loses the connection of a Hub in many ways, whose
// user, password, channels and messages are canaries, and looks at all that its
// subscription and OnError are given.
func subscriptionsTellNothing(t *testing.T) {
	t.Parallel()
	process := redistest.Start(t)
	admin, proxy := process.Client(), redistest.StartProxy(t, process.Addr())
	user := func(rules ...any) {
		t.Helper()
		must(t, admin.Do(t.Context(), append([]any{"ACL", "SETUSER", canary}, rules...)...).Err())
	}
	user("on", ">"+password, "+@all", "allkeys", "allchannels")
	rdb := process.Client(func(o *redis.Options) { o.Addr, o.Username, o.Password = proxy.Addr(), canary, password })
	told := &redistest.Recorder{}
	hub, err := pubsub.ListenPattern[talk](t.Context(), rdb, canary+":*", pubsub.Config{
		Name: "updates", Buffer: 2, Liveness: 500 * time.Millisecond, OnError: told.OnError,
	})
	must(t, err)
	t.Cleanup(func() { _ = hub.Close() })
	sub := hub.Subscribe()

	// until reads until there is an error of a kind.
	until := func(what string, is func(error) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			_, err := sub.Next(ctx)
			tellsNothing(t, what, err)
			if ctx.Err() != nil {
				t.Fatalf("%s: not told", what)
			}
			if err != nil && is(err) {
				return
			}
		}
	}

	lost := func(err error) bool {
		gap := &pubsub.GapError{}
		return errors.As(err, &gap) && gap.Cause != nil
	}
	for _, f := range []struct {
		name          string
		harm, restore func()
	}{
		{"a cut", proxy.Cut, func() {}},
		{"nobody is there", proxy.Down, proxy.Up},
		{"nobody answers", proxy.BlackHole, proxy.Heal},
		{"WRONGPASS", func() { user("resetpass", ">another"); proxy.Cut() }, func() { user("resetpass", ">"+password) }},
		{"NOPERM", func() { user("-psubscribe"); proxy.Cut() }, func() { user("+psubscribe") }},
		{"no channel permitted", func() { user("resetchannels") }, func() { user("allchannels") }},
		{"a server begins anew", process.Kill, func() {
			process.Restart()
			user("on", ">"+password, "+@all", "allkeys", "allchannels")
		}},
	} {
		before := len(told.All())
		f.harm()
		redistest.Eventually(t, func() bool { return len(told.All()) > before }, f.name, "is told")
		f.restore()
		until(f.name, lost)
	}

	for range 5 {
		must(t, admin.Publish(t.Context(), canary+":1", `{"speaker":1,"n":"`+canary+`"}`).Err())
	}
	redistest.Eventually(t, func() bool { return hub.Stats().Received >= 5 }, "messages come")
	until("a slow reader", func(err error) bool {
		gap := &pubsub.GapError{}
		return errors.As(err, &gap) && gap.Missed > 0
	})
	until("no JSON of the type", func(err error) bool {
		bad := &pubsub.DecodeError{}
		return errors.As(err, &bad)
	})
	must(t, rdb.Close())
	proxy.Cut() // or the hub would not find out
	until("the client is closed", func(err error) bool { return errors.Is(err, pubsub.ErrClientClosed) })
	tellsNothing(t, "the end", sub.Err())
	tellsNothing(t, "close", hub.Close())
	for _, err := range told.All() {
		tellsNothing(t, "OnError", err)
	}
	textTellsNothing(t, "what is scraped", scrape(t, hub))
}
