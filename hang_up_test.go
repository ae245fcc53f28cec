package rediskit_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
)

// hangUp accepts connections in the place of a server that was killed, and hangs up at
// once. It counts them.
func hangUp(t *testing.T, addr string) *atomic.Int32 {
	t.Helper()
	var ln net.Listener
	redistest.Eventually(t, func() (ok bool) {
		var err error
		ln, err = net.Listen("tcp", addr)
		return err == nil
	}, "the address is free")
	accepted := new(atomic.Int32)
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		accepting.Wait()
	})
	return accepted
}

func TestAServerThatHangsUpAtOnceIsDialledAFewTimesASecond(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T) (redis.UniversalClient, *redistest.Process){
		"one server": func(t *testing.T) (redis.UniversalClient, *redistest.Process) {
			server := redistest.Start(t)
			return connect(t, at(server.Addr())), server
		},
		"a node of a Cluster": func(t *testing.T) (redis.UniversalClient, *redistest.Process) {
			cluster := redistest.StartCluster(t, 3, "--cluster-require-full-coverage", "no")
			return connect(t, rediskit.Config{Addrs: cluster.Addrs()}), cluster.Nodes()[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rdb, server := start(t)
			server.Kill()
			accepted := hangUp(t, server.Addr())

			const seconds = 2
			ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
			defer cancel()
			var refused atomic.Int32
			var callers sync.WaitGroup
			for i := range 32 {
				callers.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						err := rdb.Get(context.Background(), fmt.Sprint(i, n)).Err()
						if errors.Is(err, rediskit.ErrUnavailable) {
							refused.Add(1)
							time.Sleep(time.Millisecond) // as a service that answers its own client
						}
					}
				})
			}
			callers.Wait()
			t.Logf("%d connections in %d s, %d calls refused", accepted.Load(), seconds, refused.Load())
			if n := accepted.Load(); n == 0 || n > 20*seconds {
				t.Errorf("%d connections in %d s, want 20 a second at most", n, seconds)
			}
			if refused.Load() == 0 {
				t.Error("no call was refused")
			}
		})
	}
}
