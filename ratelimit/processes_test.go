package ratelimit_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/ratelimit"
)

// hourly policies end no window and add no token while a test runs.
var hourly = map[string][]ratelimit.Policy{
	"fixed":   {ratelimit.PerHour(100)},
	"sliding": {ratelimit.SlidingWindow(100, time.Hour)},
	"gcra":    {ratelimit.GCRA(1, time.Hour, 100)},
	"several": {ratelimit.PerHour(200), ratelimit.SlidingWindow(100, 2*time.Hour), ratelimit.FixedWindow(150, 3*time.Hour)},
}

// crowd reads ids. For each one it calls Allow in many goroutines at once, and prints how
// many passed, or the number of failures with a minus sign.
var crowd = redistest.Child("crowd", func(args []string) {
	addr, pattern, policies, goroutines := args[0], args[1], args[2], args[3]
	rdb := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 20, PoolTimeout: time.Minute, ReadTimeout: time.Minute})
	defer rdb.Close()
	l, err := ratelimit.New(rdb, ratelimit.Config{Key: pattern}, hourly[policies]...)
	if err != nil {
		panic(err)
	}
	n, _ := strconv.Atoi(goroutines)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		id := in.Text()
		var passed, failed atomic.Int64
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				switch res, err := l.Allow(context.Background(), id); {
				case err != nil || res.Degraded:
					failed.Add(1)
				case res.Allowed:
					passed.Add(1)
				}
			})
		}
		all.Wait()
		if failed.Load() > 0 {
			fmt.Println(-failed.Load())
		} else {
			fmt.Println(passed.Load())
		}
	}
})

func TestFourProcessesTogetherAllowExactlyTheLimit(t *testing.T) {
	t.Parallel()
	for name := range hourly {
		t.Run(name, func(t *testing.T) {
			redistest.RunReal(t, func(t *testing.T, s *redistest.Server) {
				const processes, goroutines, rounds = 4, 250, 10
				var children []*redistest.ChildProcess
				for range processes {
					children = append(children, redistest.Spawn(t, crowd, s.Addr(), pattern(s), name, strconv.Itoa(goroutines)))
				}
				for i := range rounds {
					for _, child := range children {
						child.Send(fmt.Sprint("id ", i))
					}
					sum := 0
					for _, child := range children {
						n, err := strconv.Atoi(child.Line())
						if err != nil || n < 0 {
							t.Fatalf("a child: %d failed, %v", -n, err)
						}
						sum += n
					}
					if sum != 100 {
						t.Errorf("round %d: %d of 1000 passed, want 100", i, sum)
					}
				}
				s.NoImmortals(t)
			})
		})
	}
}
