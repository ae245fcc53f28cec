package sender_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/internal/sender"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// get reads key through c.
func get(ctx context.Context, c *sender.Sender, key string) (string, error) {
	cmd := redis.NewStringCmd(ctx, "get", key)
	if err := c.Do(ctx, sender.Read, key, cmd); err != nil {
		return "", err
	}
	return cmd.Result()
}

// charge adds one to key, and must not be sent twice.
func charge(ctx context.Context, c *sender.Sender, key string) (int, error) {
	cmd := redis.NewCmd(ctx, "incr", key)
	if err := c.Do(ctx, sender.Charge, key, cmd); err != nil {
		return 0, err
	}
	return cmd.Int()
}

// A hook is shown what a client sends, but for handshakes, and next, which
// sends it.
type hook func(ctx context.Context, cmds []redis.Cmder, next func() error) error

func (h hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return h.send(ctx, []redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

func (h hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return h.send(ctx, cmds, func() error { return next(ctx, cmds) })
	}
}

func (h hook) send(ctx context.Context, cmds []redis.Cmder, next func() error) error {
	if slices.Contains([]string{"hello", "client", "cluster", "command", "ping"}, cmds[0].Name()) {
		return next()
	}
	return h(ctx, cmds, next)
}

// A gate holds back what a client sends until it is opened, and remembers the
// keys of each round trip.
type gate struct {
	mu   sync.Mutex
	keys [][]string
	open chan struct{}
}

func newGate(clients ...*redis.Client) *gate {
	g := &gate{open: make(chan struct{})}
	for _, rdb := range clients {
		rdb.AddHook(hook(g.hold))
	}
	return g
}

func (g *gate) hold(_ context.Context, cmds []redis.Cmder, next func() error) error {
	keys := make([]string, len(cmds))
	for i, cmd := range cmds {
		keys[i] = fmt.Sprint(cmd.Args()[1])
	}
	g.mu.Lock()
	g.keys = append(g.keys, keys)
	g.mu.Unlock()
	<-g.open
	return next()
}

func (g *gate) sent() [][]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.keys)
}

// fill keeps a lane busy with held commands on key: as many as are sent directly, and
// as many pipelines as there may be. Whatever follows is queued. It returns where its
// calls end.
func (g *gate) fill(t testing.TB, s *sender.Sender, class sender.Class, key string) *sync.WaitGroup {
	t.Helper()
	var calls sync.WaitGroup
	before := len(g.sent())
	for i := range sender.MaxDirect + sender.MaxPipelines {
		calls.Go(func() {
			ctx := context.Background()
			s.Do(ctx, class, key, redis.NewCmd(ctx, "get", key))
		})
		redistest.Eventually(t, func() bool { return len(g.sent()) == before+i+1 }, "a call is sent")
	}
	return &calls
}
