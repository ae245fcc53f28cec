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

// Windows that cannot end, and tokens that do not come, while a test runs.
var hourly = map[string][]ratelimit.Policy{
	"fixed":   {ratelimit.PerHour(100)},
	"sliding": {ratelimit.SlidingWindow(100, time.Hour)},
	"gcra":    {ratelimit.GCRA(1, time.Hour, 100)},
	"several": {ratelimit.PerHour(200), ratelimit.SlidingWindow(100, 2*time.Hour), ratelimit.FixedWindow(150, 3*time.Hour)},
}

// crowd asks for an id from many goroutines as soon as it reads it, and prints
// how many passed, or what went wrong.
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

func TestAThousandGoroutinesOfFourProcessesPassAHundredTimes(t *testing.T) {
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

func TestAClusterKeepsAllCountsOfAnIDInOneSlot(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	rdb := cluster.Client()
	for name, policies := range hourly {
		l, err := ratelimit.New(rdb, ratelimit.Config{Key: "limit:*:" + name}, policies...)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"1", "2", "3", "4", "{x}", "}{", "{}", "a{b", "é"} {
			if passed, _ := exhaust(t, l, id); passed != 100 {
				t.Errorf("%s: %d passed, want 100", name, passed)
			}
			if got := peek(t, l, id); got.Degraded {
				t.Errorf("%s: %v", name, got.Err)
			}
			if err := l.Reset(t.Context(), id); err != nil {
				t.Errorf("%s: Reset: %v", name, err)
			}
			if got := peek(t, l, id); got.Remaining != 100 {
				t.Errorf("%s: %d remain after Reset", name, got.Remaining)
			}
		}
	}
	for _, node := range cluster.Nodes() {
		if keys := node.Client().Keys(t.Context(), "*").Val(); len(keys) != 0 {
			t.Errorf("%d keys were left by Reset", len(keys))
		}
	}
}

func TestEveryKeyIsTheCallersOrItsSibling(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	root := server.Client()
	if err := root.Do(t.Context(), "acl", "setuser", "limiter", "on", ">secret",
		"~rate_limit:*", "~rediskit:*:{rate_limit:*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	rdb := server.Client(func(o *redis.Options) { o.Username, o.Password = "limiter", "secret" })
	for name, policies := range hourly {
		l, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, policies...)
		if err != nil {
			t.Fatal(err)
		}
		if res := allow(t, l, name, 1); res.Degraded {
			t.Errorf("%s: %v", name, res.Err)
		}
		if err := l.Reset(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
