package subscriber

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// A record is what the callbacks of a Subscriber were told, in order.
type record struct {
	mu     sync.Mutex
	events []string
	errs   []error
}

const gap = "gap"

func (r *record) add(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// failures is what OnError was told.
func (r *record) failures() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errs)
}

func (r *record) count(event string) int {
	n := 0
	for _, e := range r.all() {
		if e == event {
			n++
		}
	}
	return n
}

func (r *record) config() Config {
	return Config{
		OnMessage: func(m *redis.Message) { r.add(m.Payload) },
		OnGap:     func(error) { r.add(gap) },
		OnEnd:     func(err error) { r.add("end: " + err.Error()) },
		OnError: func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.errs = append(r.errs, err)
		},
	}
}

// await waits until the events are want.
func (r *record) await(t *testing.T, want ...string) {
	t.Helper()
	for range 5000 {
		if slices.Equal(r.all(), want) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("events %q, want %q", r.all(), want)
}

func open(t *testing.T, rdb redis.UniversalClient, set ...func(*Config)) (*Subscriber, *record) {
	t.Helper()
	r := &record{}
	cfg := r.config()
	for _, f := range set {
		f(&cfg)
	}
	s, err := New(rdb, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, r
}

func liveness(d time.Duration) func(*Config) { return func(cfg *Config) { cfg.Liveness = d } }

func subscribe(t *testing.T, s *Subscriber, channels ...string) {
	t.Helper()
	if err := s.Subscribe(within(t), channels...); err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// publish fails the test unless receivers got payload.
func publish(t *testing.T, rdb redis.UniversalClient, channel, payload string, receivers int64) {
	t.Helper()
	if n, err := rdb.Publish(t.Context(), channel, payload).Result(); err != nil || n != receivers {
		t.Errorf("publish %s: %d receivers, %v; want %d", payload, n, err, receivers)
	}
}

// through returns a client whose connections pass proxy.
func through(s *redistest.Server, proxy *redistest.Proxy, set ...func(*redis.Options)) *redis.Client {
	return s.Client(append([]func(*redis.Options){func(o *redis.Options) { o.Addr = proxy.Addr() }}, set...)...)
}

func TestSubscribeReturnsOnceConfirmed(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		for _, protocol := range []int{2, 3} {
			rdb := s.Client(func(o *redis.Options) { o.Protocol = protocol })
			sub, got := open(t, rdb)
			own := s.Prefix() + strconv.Itoa(protocol) // the server may not have noticed the end of the last one
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
		subscribe(t, sub, ch) // perhaps in one go with the Unsubscribe
		publish(t, rdb, ch, "2", 1)
		got.await(t, "1", "2")
		sub.Unsubscribe(ch, ch, "never subscribed")
		redistest.Eventually(t, func() bool { return rdb.Publish(t.Context(), ch, "").Val() == 0 }, "unsubscribed")
	})
}

func TestLostConnectionIsOneGapInOrder(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb, ch := s.Client(), s.Prefix()
		sub, got := open(t, through(s, proxy))
		subscribe(t, sub, ch)
		if err := sub.PSubscribe(within(t), ch+"p*"); err != nil {
			t.Fatal(err)
		}
		want := []string{}
		for i := range 5 {
			before := fmt.Sprint("before ", i)
			publish(t, rdb, ch, before, 1)
			got.await(t, append(want, before)...)
			proxy.Cut()
			want = append(want, before, gap)
			got.await(t, want...)
			redistest.Eventually(t, func() bool {
				return rdb.PubSubNumSub(t.Context(), ch).Val()[ch] == 1
			}, "the server has noticed the end of the last connection")
			for _, to := range []string{ch, ch + "p"} { // one by one: miniredis keeps no order between channels and patterns
				payload := fmt.Sprint("after ", i, to == ch)
				publish(t, rdb, to, payload, 1)
				want = append(want, payload)
				got.await(t, want...)
			}
		}
		if errs := got.failures(); len(errs) != 5 {
			t.Errorf("told %d errors for 5 losses: %v", len(errs), errs)
		}
	})
}

func TestKilledConnectionIsOneGap(t *testing.T) {
	t.Parallel()
	redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
		rdb, ch := s.Client(), s.Prefix()
		sub, got := open(t, s.Client(func(o *redis.Options) { o.ClientName = ch }))
		subscribe(t, sub, ch)
		publish(t, rdb, ch, "1", 1)
		got.await(t, "1")
		kill(t, rdb, ch)
		got.await(t, "1", gap)
		publish(t, rdb, ch, "2", 1)
		got.await(t, "1", gap, "2")
	})
}

// kill ends the connections of the clients called name.
func kill(t *testing.T, rdb *redis.Client, name string) {
	t.Helper()
	for _, line := range strings.Split(rdb.ClientList(t.Context()).Val(), "\n") {
		if strings.Contains(line, " name="+name+" ") {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
			if err := rdb.ClientKillByFilter(t.Context(), "ID", id).Err(); err != nil {
				t.Error(err)
			}
		}
	}
}

// Of many channels the first is confirmed long before the last. What it brings in
// between would stand before the gap that it belongs to.
func TestNothingOfTheNewConnectionComesBeforeTheGap(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		sub, got := open(t, through(s, proxy))
		ctx, cancel := context.WithCancel(t.Context())
		var publisher sync.WaitGroup
		rdb := s.Client()
		channels := make([]string, 300)
		for i := range channels {
			channels[i] = fmt.Sprint(s.Prefix(), i)
		}
		subscribe(t, sub, channels...)
		publisher.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				rdb.Publish(ctx, channels[i%len(channels)], i)
			}
		})
		for i := range 5 {
			messages := len(got.all())
			redistest.Eventually(t, func() bool { return len(got.all()) > messages+10 }, "messages flow")
			proxy.Cut()
			redistest.Eventually(t, func() bool { return got.count(gap) == i+1 }, "the gap is told")
		}
		subscribe(t, sub, "one more") // which tells no gap again
		cancel()
		publisher.Wait()
		next, lost := 0, false
		for _, event := range got.all() {
			n, err := strconv.Atoi(event)
			switch {
			case event == gap:
				lost = true
			case err != nil || n < next || n > next && !lost:
				t.Fatalf("%q where %d was due and no gap was told", event, next)
			default:
				next, lost = n+1, false
			}
		}
		if n := got.count(gap); n != 5 {
			t.Errorf("%d gaps for 5 losses", n)
		}
	})
}

func TestSilentServerIsAGap(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		rdb, ch := s.Client(), s.Prefix()
		sub, got := open(t, through(s, proxy), liveness(100*time.Millisecond))
		subscribe(t, sub, ch)
		proxy.BlackHole()
		redistest.Eventually(t, func() bool { return len(got.failures()) > 0 }, "found silent")
		if err := got.failures()[0]; !errors.Is(err, errSilent) {
			t.Errorf("told %v", err)
		}
		proxy.Cut() // what the healed network would deliver to connections that are long dead
		proxy.Heal()
		got.await(t, gap)
		redistest.Eventually(t, func() bool { return rdb.Publish(t.Context(), ch, "1").Val() == 1 }, "one receiver")
		redistest.Eventually(t, func() bool { return got.count("1") > 0 }, "received")
	})
}

func TestIdleConnectionStaysAlive(t *testing.T) {
	t.Parallel()
	for _, protocol := range []int{2, 3} {
		redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
			rdb := s.Client(func(o *redis.Options) { o.Protocol = protocol })
			sub, got := open(t, rdb, liveness(time.Second))
			subscribe(t, sub, "ch")
			time.Sleep(10 * time.Minute)
			publish(t, rdb, "ch", "1", 1)
			got.await(t, "1")
			sub.Unsubscribe("ch")
			time.Sleep(10 * time.Minute) // a PING is answered otherwise without subscriptions
			subscribe(t, sub, "ch")
			publish(t, rdb, "ch", "2", 1)
			got.await(t, "1", "2")
			if errs := got.failures(); len(errs) > 0 {
				t.Errorf("told %v", errs)
			}
		})
	}
}

func TestABusyConnectionIsAskedToo(t *testing.T) {
	t.Parallel()
	redistest.Bubble(t, func(t *testing.T, s *redistest.Server) {
		rdb := s.Client()
		var asked []time.Time
		sub, _ := open(t, rdb, liveness(time.Second), func(cfg *Config) {
			cfg.OnPong = func(at time.Time) { asked = append(asked, at) }
		})
		subscribe(t, sub, "ch")
		began := time.Now()
		for range 100 {
			publish(t, rdb, "ch", "x", 1)
			time.Sleep(100 * time.Millisecond)
		}
		if err := sub.Close(); err != nil {
			t.Fatal(err)
		}
		if n := len(asked); n < 18 || n > 20 {
			t.Errorf("%d PONGs in 10 s; a PING is due after each half second", n)
		}
		for i, at := range asked {
			if i > 0 && at.Before(asked[i-1]) || at.Before(began.Add(-time.Second)) || at.After(time.Now()) {
				t.Errorf("PING %d was sent at %v", i, at)
			}
		}
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

func TestRefusalIsOfOneTopic(t *testing.T) {
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
		redistest.Eventually(t, func() bool { return rdb.Publish(t.Context(), user+":1", "").Val() == 0 }, "taken back")

		// A permission that is taken away breaks the connection, until it is back.
		setUser("resetchannels")
		redistest.Eventually(t, func() bool {
			return slices.ContainsFunc(got.failures(), redis.IsPermissionError)
		}, "told the refusal")
		setUser("&" + user + ":*")
		redistest.Eventually(t, func() bool { return got.count(gap) == 1 }, "restored")
		publish(t, rdb, user+":2", "2", 1)
		redistest.Eventually(t, func() bool { return got.count("2") == 1 }, "received")
	})
}

func TestWrongPasswordEndsTheWait(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--requirepass", "right")
	for _, password := range []string{"", "wrong"} {
		sub, _ := open(t, server.Client(func(o *redis.Options) { o.Password = password }))
		if err := sub.Subscribe(within(t), "ch"); !redis.IsAuthError(err) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Subscribe with password %q: %v", password, err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	for _, patience := range []time.Duration{-1, time.Millisecond, math.MaxInt64} {
		if _, err := New(rdb, Config{Liveness: patience}); err == nil {
			t.Errorf("a patience of %v was accepted", patience)
		}
	}
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	if _, err := New(ring, Config{}); err == nil {
		t.Error("a ring was accepted")
	}
}
