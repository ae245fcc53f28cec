package subscriber

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

// Every message that is published after a Subscribe has returned is received, or
// a gap is told: while others come and go, and connections break.
func TestNothingIsLostInSilence(t *testing.T) {
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
					told := func() bool {
						mu.Lock()
						defer mu.Unlock()
						return received[payload] || gaps > before
					}
					for deadline := time.Now().Add(10 * time.Second); !told(); time.Sleep(100 * time.Microsecond) {
						if time.Now().After(deadline) {
							t.Errorf("message %s was lost and no gap was told", payload)
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
		sub.mu.Lock()
		defer sub.mu.Unlock()
		if len(sub.topics) > 0 {
			t.Errorf("%d topics are left", len(sub.topics))
		}
	})
}
