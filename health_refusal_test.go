package rediskit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/cache"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/refusal"
)

// Such a server reads, publishes and announces as before.
func TestAServerWhoseSnapshotFailedIsConnectedToAndHealthy(t *testing.T) {
	t.Parallel()
	p := redistest.Start(t)
	if err := p.Client().Set(t.Context(), "list:1", `"stored"`, 0).Err(); err != nil {
		t.Fatal(err)
	}
	p.FailSnapshot()
	rdb := connect(t, at(p.Addr()))
	health, err := rediskit.Check(t.Context(), rdb)
	if err != nil || len(health.Nodes) != 1 || health.Nodes[0].LastSaveOK.String() != "false" {
		t.Errorf("Check: %+v, %v", health, err)
	}
	c, err := cache.New[string](rdb, cache.Config{Key: "list:*", TTL: time.Minute, Local: cache.Local{MaxEntries: 10}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	redistest.Eventually(t, func() bool {
		v, err := c.Get(t.Context(), "1")
		return err == nil && v == "stored" && c.Stats().LocalHits > 0
	}, "near copies answer")
}

// refusingPING returns a server that answers PING with words.
func refusingPING(t *testing.T, words string) *redistest.Server {
	s := redistest.Mini(t)
	s.Mini().Server().SetPreHook(func(p *server.Peer, name string, _ ...string) bool {
		if name != "PING" {
			return false
		}
		p.WriteError(words + " for this test")
		return true
	})
	return s
}

// Check is nil where nothing need be done to be served.
func TestANodeThatRefusesPINGIsInHealth(t *testing.T) {
	t.Parallel()
	for _, row := range refusal.All() {
		health, err := rediskit.Check(t.Context(), refusingPING(t, row.Words).Client())
		if len(health.Nodes) != 1 || health.Nodes[0].Clients.String() == "unknown" {
			t.Errorf("%s: %+v", row.Words, health)
		}
		if r, _ := refusal.Of(err); (err == nil) != (row.Alive && row.Passes) || err != nil && r != row {
			t.Errorf("%s: %v", row.Words, err)
		}
	}
}

func TestConnectWaitsForAServerThatCannotServeYet(t *testing.T) {
	t.Parallel()
	for _, row := range refusal.All() {
		t.Run(row.Words, func(t *testing.T) {
			t.Parallel()
			var log errorLog
			cfg := at(refusingPING(t, row.Words).Addr())
			ctx, cancel := context.WithCancel(within(t))
			defer cancel()
			cfg.OnError = func(ctx context.Context, err error) {
				log.onError(ctx, err)
				cancel() // it waits
			}
			rdb, err := rediskit.Connect(ctx, cfg)
			if err == nil {
				_ = rdb.Close()
			}
			if (err == nil) != (row.Alive && row.Passes) {
				t.Errorf("Connect: %v", err)
			}
			if waited := errors.Is(err, context.Canceled); waited != (!row.Alive && row.Passes) {
				t.Errorf("waited: %v; %v", waited, err)
			}
		})
	}
}
