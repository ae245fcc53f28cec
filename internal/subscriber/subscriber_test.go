package subscriber

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestSubscribeReturnsOnceConfirmed(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, protocol := range []int{2, 3} {
			rdb := s.Client(func(o *redis.Options) { o.Protocol = protocol })
			sub, got := open(t, rdb)
			own := s.Prefix() + strconv.Itoa(protocol) // the server may still count the last subscriber
			a, b, p := own+"a", own+"b", own+"p"
			subscribe(t, sub, a, b)
			publish(t, rdb, a, "1", 1)
			publish(t, rdb, b, "2", 1)
			got.await(t, "1", "2") // miniredis keeps no order between channels and patterns
			if err := sub.PSubscribe(within(t), p+"*"); err != nil {
				t.Fatal(err)
			}
			publish(t, rdb, p+"x", "3", 1)
			got.await(t, "1", "2", "3")
			sub.Unsubscribe(b)
			sub.PUnsubscribe(p + "*")
			redistest.Eventually(t, func() bool {
				return rdb.Publish(t.Context(), b, "").Val() == 0 && rdb.Publish(t.Context(), p, "").Val() == 0
			}, "unsubscribed")
			publish(t, rdb, a, "4", 1)
			sub.Close()
		}
	})
}

func TestEachSubscribeNeedsItsUnsubscribe(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		rdb, ch := s.Client(), s.Prefix()
		sub, got := open(t, rdb)
		subscribe(t, sub, ch)
		subscribe(t, sub, ch)
		sub.Unsubscribe(ch)
		subscribe(t, sub, ch+"other") // the commands before it are done
		publish(t, rdb, ch, "1", 1)
		sub.Unsubscribe(ch)
		subscribe(t, sub, ch) // perhaps together with the Unsubscribe
		publish(t, rdb, ch, "2", 1)
		got.await(t, "1", "2")
		sub.Unsubscribe(ch, ch, "never subscribed")
		redistest.Eventually(t, func() bool { return rdb.Publish(t.Context(), ch, "").Val() == 0 }, "unsubscribed")
	})
}

func TestSubscribeWaitsForRedisUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		proxy.Down()
		sub, got := open(t, through(s, proxy))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := sub.Subscribe(ctx, s.Prefix())
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("Subscribe: %v", err)
		}
		late := redistest.Async(func() (any, error) { return nil, sub.Subscribe(within(t), s.Prefix()) })
		proxy.Up()
		if err := (<-late).Err; err != nil {
			t.Errorf("Subscribe: %v", err)
		}
		publish(t, s.Client(), s.Prefix(), "1", 1)
		got.await(t, "1") // and no gap: nothing was promised before
	})
}

func TestARefusalConcernsOneTopicOnly(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		s.Needs(t, redistest.ACL)
		rdb, user := s.Client(), s.Prefix()
		setUser := func(rules ...any) {
			if err := rdb.Do(t.Context(), append([]any{"ACL", "SETUSER", user}, rules...)...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		setUser("on", ">secret", "+@all", "resetchannels", "&"+user+":*")
		t.Cleanup(func() { rdb.Do(context.Background(), "ACL", "DELUSER", user) })
		sub, got := open(t, s.Client(func(o *redis.Options) { o.Username, o.Password = user, "secret" }))
		refused := redistest.Async(func() (any, error) { return nil, sub.Subscribe(within(t), user+":1", "forbidden") })
		subscribe(t, sub, user+":2")
		if err := (<-refused).Err; !redis.IsPermissionError(err) || strings.Contains(err.Error(), "forbidden") {
			t.Errorf("Subscribe: %v", err)
		}
		publish(t, rdb, user+":2", "1", 1)
		redistest.Eventually(t, func() bool { return rdb.Publish(t.Context(), user+":1", "").Val() == 0 }, "unsubscribed")

		// Without the permission, the connection breaks until the permission is back.
		setUser("resetchannels")
		redistest.Eventually(t, func() bool {
			return slices.ContainsFunc(got.failures(), redis.IsPermissionError)
		}, "the refusal is reported")
		setUser("&" + user + ":*")
		redistest.Eventually(t, func() bool { return got.count(gap) == 1 }, "restored")
		publish(t, rdb, user+":2", "2", 1)
		redistest.Eventually(t, func() bool { return got.count("2") == 1 }, "received")
	})
}

// Redis 7.2 names the user in its refusal. Older ones do not.
func TestARefusalDoesNotNameTheUser(t *testing.T) {
	t.Parallel()
	s := redistest.Mini(t)
	s.Mini().Server().SetPreHook(func(p *server.Peer, name string, _ ...string) bool {
		if name != "SUBSCRIBE" {
			return false
		}
		p.WriteError("NOPERM User c4nary has no permissions to access the 'c4nary' channel")
		return true
	})
	sub, got := open(t, s.Client())
	err := sub.Subscribe(within(t), "c4nary")
	if !redis.IsPermissionError(err) || strings.Contains(err.Error(), "c4nary") {
		t.Errorf("Subscribe: %v", err)
	}
	for _, err := range got.failures() {
		if strings.Contains(err.Error(), "c4nary") {
			t.Errorf("reported %v", err)
		}
	}
}

func TestAWrongPasswordEndsTheWait(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "right")
	for _, password := range []string{"", "wrong"} {
		sub, _ := open(t, server.Client(func(o *redis.Options) { o.Password = password }))
		if err := sub.Subscribe(within(t), "ch"); !redis.IsAuthError(err) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Subscribe with password %q: %v", password, err)
		}
	}
}
