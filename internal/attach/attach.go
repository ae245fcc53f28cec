// Package attach keeps a value with a client of go-redis, so that who has the client
// finds it. Nothing is kept anywhere else: the value ends with the client.
package attach

import (
	"context"

	"github.com/redis/go-redis/v9"
)

// To attaches value to rdb, by a hook. Call it before the hooks are added that send,
// count or refuse commands.
func To(rdb redis.UniversalClient, value any) { rdb.AddHook(hook{value}) }

// Of returns the value of type T that is attached to rdb. It sends nothing: a hook
// answers, and of a client without it, go-redis looks at the context first.
func Of[T any](rdb redis.UniversalClient) (value T, ok bool) {
	switch rdb.(type) {
	case *redis.Client, *redis.ClusterClient:
	default:
		return value, false
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	q := &question[T]{StatusCmd: redis.NewStatusCmd(ctx, "ping")}
	_ = rdb.Process(ctx, q)
	return q.value, q.answered
}

// A question is a command that a hook answers.
type question[T any] struct {
	*redis.StatusCmd
	value    T
	answered bool
}

func (q *question[T]) take(value any) bool {
	if !q.answered {
		q.value, q.answered = value.(T)
	}
	return q.answered
}

type hook struct{ value any }

// DialHook changes nothing.
func (hook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing.
func (hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook answers a question for a value of its type.
func (h hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if q, ok := cmd.(interface{ take(any) bool }); ok && q.take(h.value) {
			return nil
		}
		return next(ctx, cmd)
	}
}
