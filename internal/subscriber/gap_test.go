package subscriber

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestALostConnectionIsOneGapInOrder(t *testing.T) {
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
			for _, to := range []string{ch, ch + "p"} { // singly: miniredis keeps no order between channels and patterns
				payload := fmt.Sprint("after ", i, to == ch)
				publish(t, rdb, to, payload, 1)
				want = append(want, payload)
				got.await(t, want...)
			}
		}
		if errs := got.failures(); len(errs) != 5 {
			t.Errorf("%d errors were reported for 5 losses: %v", len(errs), errs)
		}
	})
}

func TestAKilledConnectionIsOneGap(t *testing.T) {
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

// Of many channels, the first is confirmed long before the last. Its messages from in
// between belong to the gap, and must not come before it.
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
			redistest.Eventually(t, func() bool { return got.count(gap) == i+1 }, "the gap is reported")
		}
		subscribe(t, sub, "one more") // reports no gap again
		cancel()
		publisher.Wait()
		next, lost := 0, false
		for _, event := range got.all() {
			n, err := strconv.Atoi(event)
			switch {
			case event == gap:
				lost = true
			case err != nil || n < next || n > next && !lost:
				t.Fatalf("%q where %d was due and no gap was reported", event, next)
			default:
				next, lost = n+1, false
			}
		}
		if n := got.count(gap); n != 5 {
			t.Errorf("%d gaps for 5 losses", n)
		}
	})
}

// Every message that is published after Subscribe has returned is received, or a gap
// is reported, while other callers come and go and connections break.
func TestNoMessageIsLostInSilence(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		proxy := redistest.StartProxy(t, s.Addr())
		var (
			mu       sync.Mutex
			received = map[string]bool{}
			gaps     int
		)
		sub, _ := open(t, through(s, proxy), func(cfg *Config) {
			cfg.OnMessage = func(m *redis.Message) { mu.Lock(); defer mu.Unlock(); received[m.Payload] = true }
			cfg.OnGap = func(error) { mu.Lock(); defer mu.Unlock(); gaps++ }
		})
		gapsSoFar := func() int { mu.Lock(); defer mu.Unlock(); return gaps }
		rdb := s.Client()
		var workers sync.WaitGroup
		for w := range 8 {
			workers.Go(func() {
				for i := range 40 {
					ch := fmt.Sprint(s.Prefix(), w/2) // two workers to a channel
					if err := sub.Subscribe(within(t), ch); err != nil {
						t.Error(err)
						return
					}
					before := gapsSoFar()
					payload := fmt.Sprint(w, ":", i)
					rdb.Publish(t.Context(), ch, payload)
					accounted := func() bool {
						mu.Lock()
						defer mu.Unlock()
						return received[payload] || gaps > before
					}
					for deadline := time.Now().Add(10 * time.Second); !accounted(); time.Sleep(100 * time.Microsecond) {
						if time.Now().After(deadline) {
							t.Errorf("message %s was lost and no gap was reported", payload)
							return
						}
					}
					sub.Unsubscribe(ch)
				}
			})
		}
		stop := make(chan struct{})
		var cutter sync.WaitGroup
		cutter.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(40 * time.Millisecond):
					proxy.Cut()
				}
			}
		})
		workers.Wait()
		close(stop)
		cutter.Wait()
		t.Logf("%d gaps", gapsSoFar())
		if left := sub.topics.all(); len(left) > 0 {
			t.Errorf("%d topics are left", len(left))
		}
	})
}
