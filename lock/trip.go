package lock

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/script"
)

// A trip is the redis.Scripter through which redislock sends one script, with
// what we want to go along with it: in the same round trip, behind it on the
// same connection, and never sent again by the client, which would not know
// whether the first copy ran.
type trip struct {
	redis.Scripter // what redislock does not call

	rdb   redis.UniversalClient
	key   string
	along []redis.Cmder
	want  any // the only reply that is none of nil and an error, if not nil
}

func newTrip(rdb redis.UniversalClient, key string, along ...redis.Cmder) *trip {
	return &trip{Scripter: rdb, rdb: rdb, key: key, along: along}
}

// EvalSha sends a script by its digest.
func (t *trip) EvalSha(ctx context.Context, sha1 string, keys []string, args ...any) *redis.Cmd {
	return t.send(ctx, "evalsha", sha1, keys, args)
}

// Eval sends a script that the server does not know yet.
func (t *trip) Eval(ctx context.Context, source string, keys []string, args ...any) *redis.Cmd {
	return t.send(ctx, "eval", source, keys, args)
}

func (t *trip) send(ctx context.Context, name, text string, keys []string, args []any) *redis.Cmd {
	words := make([]any, 0, 3+len(keys)+len(args))
	words = append(words, name, text, len(keys))
	for _, key := range keys {
		words = append(words, key)
	}
	cmd := redis.NewCmd(ctx, append(words, args...)...)
	if len(t.along) == 0 {
		t.alone(ctx, cmd)
	} else {
		t.together(ctx, cmd)
	}
	if t.want != nil && cmd.Err() == nil && cmd.Val() != t.want {
		cmd.SetErr(script.ErrReply)
	}
	return cmd
}

func (t *trip) alone(ctx context.Context, cmd *redis.Cmd) {
	_ = t.rdb.Process(ctx, script.NoRetry(cmd))
}

// together sends cmd and what goes along in one pipeline. A Cluster's own
// pipeline would scatter it by keys, so there it goes to the key's master, and
// once more to where that one says that the slot is.
func (t *trip) together(ctx context.Context, cmd *redis.Cmd) {
	cluster, ok := t.rdb.(*redis.ClusterClient)
	if !ok {
		t.pipe(ctx, t.rdb, cmd, false)
		return
	}
	node, err := cluster.MasterForKey(ctx, t.key)
	if err != nil {
		t.fail(cmd, err)
		return
	}
	t.pipe(ctx, node, cmd, false)
	addr, elsewhere := redis.IsMovedError(cmd.Err())
	asking := false
	if !elsewhere {
		addr, asking = redis.IsAskError(cmd.Err())
	}
	if !elsewhere && !asking {
		return
	}
	cluster.ReloadState(ctx)
	if node := master(ctx, cluster, addr); node != nil {
		t.pipe(ctx, node, cmd, asking)
		return
	}
	t.fail(cmd, cmd.Err())
	t.alone(ctx, cmd) // the cluster's client may get to know that node
}

func (t *trip) pipe(ctx context.Context, node redis.UniversalClient, cmd *redis.Cmd, asking bool) {
	pipe := node.Pipeline()
	if asking {
		_ = pipe.Process(ctx, redis.NewCmd(ctx, "asking"))
	}
	cmd.SetErr(nil)
	_ = pipe.Process(ctx, script.NoRetry(cmd))
	for _, c := range t.along {
		_ = pipe.Process(ctx, c)
	}
	_, err := pipe.Exec(ctx) // each command has its own error,
	if err != nil && cmd.Err() == nil && cmd.Val() == nil {
		t.fail(cmd, err) // unless a hook of the client kept the pipeline back
	}
}

// fail says that nothing was answered.
func (t *trip) fail(cmd *redis.Cmd, err error) {
	cmd.SetErr(err)
	for _, c := range t.along {
		c.SetErr(err)
	}
}

// master is the client of the master at addr, or nil if the cluster's client
// does not know it yet.
func master(ctx context.Context, cluster *redis.ClusterClient, addr string) *redis.Client {
	found := make(chan *redis.Client, 1)
	_ = cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		if node.Options().Addr == addr {
			found <- node
		}
		return nil
	})
	select {
	case node := <-found:
		return node
	default:
		return nil
	}
}
