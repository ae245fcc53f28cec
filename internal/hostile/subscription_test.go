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

// testSubscription loses the connection of a Hub in many ways. Its user, password, channels
// and messages are canaries. Neither its Subscription nor OnError may receive one.
func testSubscription(t *testing.T) {
	t.Parallel()
	process := redistest.Start(t)
	admin, proxy := process.Client(), redistest.StartProxy(t, process.Addr())
	user := func(rules ...any) {
		t.Helper()
		must(t, admin.Do(t.Context(), append([]any{"ACL", "SETUSER", canary}, rules...)...).Err())
	}
	user("on", ">"+password, "+@all", "allkeys", "allchannels")
	rdb := process.Client(func(o *redis.Options) { o.Addr, o.Username, o.Password = proxy.Addr(), canary, password })
	onError := &redistest.Recorder{}
	hub, err := pubsub.ListenPattern[talk](t.Context(), rdb, canary+":*", pubsub.Config{
		Name: "updates", Buffer: 2, Liveness: 500 * time.Millisecond, OnError: onError.OnError,
	})
	must(t, err)
	t.Cleanup(func() { _ = hub.Close() })
	sub := hub.Subscribe()

	// until reads until is returns true for an error.
	until := func(what string, is func(error) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			_, err := sub.Next(ctx)
			expectNoLeak(t, what, err)
			if ctx.Err() != nil {
				t.Fatalf("%s: no such error", what)
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
		fail, restore func()
	}{
		{"connection cut", proxy.Cut, func() {}},
		{"connections refused", proxy.Down, proxy.Up},
		{"no replies", proxy.BlackHole, proxy.Heal},
		{"WRONGPASS", func() { user("resetpass", ">another"); proxy.Cut() }, func() { user("resetpass", ">"+password) }},
		{"NOPERM", func() { user("-psubscribe"); proxy.Cut() }, func() { user("+psubscribe") }},
		{"no channel permitted", func() { user("resetchannels") }, func() { user("allchannels") }},
		{"restart of the server", process.Kill, func() {
			process.Restart()
			user("on", ">"+password, "+@all", "allkeys", "allchannels")
		}},
	} {
		before := len(onError.All())
		f.fail()
		redistest.Eventually(t, func() bool { return len(onError.All()) > before }, f.name, " is reported")
		f.restore()
		until(f.name, lost)
	}

	for range 5 {
		must(t, admin.Publish(t.Context(), canary+":1", `{"speaker":1,"n":"`+canary+`"}`).Err())
	}
	redistest.Eventually(t, func() bool { return hub.Stats().Received >= 5 }, "messages arrive")
	until("a slow reader", func(err error) bool {
		gap := &pubsub.GapError{}
		return errors.As(err, &gap) && gap.Missed > 0
	})
	until("a message that does not decode", func(err error) bool {
		bad := &pubsub.DecodeError{}
		return errors.As(err, &bad)
	})
	must(t, rdb.Close())
	proxy.Cut() // else the hub would not notice
	until("the client is closed", func(err error) bool { return errors.Is(err, pubsub.ErrClientClosed) })
	expectNoLeak(t, "the end", sub.Err())
	expectNoLeak(t, "close", hub.Close())
	for _, err := range onError.All() {
		expectNoLeak(t, "OnError", err)
	}
	expectNoLeakIn(t, "metrics", scrape(t, hub))
}
