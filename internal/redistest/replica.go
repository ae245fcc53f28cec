package redistest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// StartReplica starts a replica of primary. It waits until the replica acknowledges what
// primary is sent.
func StartReplica(t testing.TB, primary *Process) *Process {
	t.Helper()
	replica := Start(t, "--replicaof", fmt.Sprint(primary.Host(), " ", primary.Port()))
	primary.AwaitReplica()
	return replica
}

// AwaitReplica waits until a replica acknowledges what p is sent: it is online some time
// before that.
func (p *Process) AwaitReplica() {
	p.t.Helper()
	ctx, rdb := context.Background(), p.Client(func(o *redis.Options) { o.PoolSize = 1 }) // WAIT is about its own connection's writes
	defer rdb.Close()
	Eventually(p.t, func() bool {
		if !strings.Contains(rdb.Info(ctx, "replication").Val(), "state=online") {
			return false // what was written before there was any replica counts as acknowledged
		}
		rdb.Set(ctx, "written", "", time.Minute)
		return rdb.Do(ctx, "wait", 1, 10).Val() == int64(1)
	}, "a replica acknowledges")
}

// IsReplica reports whether p is a replica that has all data of its primary.
func (p *Process) IsReplica() bool {
	rdb := p.SocketClient()
	defer rdb.Close()
	info := rdb.Info(context.Background(), "replication").Val()
	return strings.Contains(info, "role:slave") && strings.Contains(info, "master_link_status:up")
}
