package primary

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/sender"
)

// OnTerm calls f, until stop is called, each time that another server begins to count
// for rdb: on a Cluster, for some slots. f must not block. It is never called for a
// client that does not dial through this package.
func OnTerm(rdb redis.UniversalClient, f func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // without a finder the question is not sent
	q := &question{StatusCmd: redis.NewStatusCmd(ctx, "ping")}
	sender.Send(ctx, rdb, sender.Repeatable, q)
	if q.found == nil {
		return func() {}
	}
	return q.found.add(f)
}

// Find lets OnTerm find w through rdb. Call it before other hooks are added.
func (w *Watch) Find(rdb *redis.Client) { rdb.AddHook(finder{&w.listeners}) }

// A question is a command that a finder answers. It never reaches the network.
type question struct {
	*redis.StatusCmd
	found *listeners
}

// A finder is the hook of one client. So nothing is kept anywhere else about it.
type finder struct{ listeners *listeners }

// DialHook changes nothing.
func (finder) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing.
func (finder) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook answers a question.
func (h finder) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if q, ok := cmd.(*question); ok {
			q.found = h.listeners
			return nil
		}
		return next(ctx, cmd)
	}
}
