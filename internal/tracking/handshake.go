package tracking

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/refusal"
)

// track makes a connection announce the changes of keys with prefix to itself.
// refused receives the reply of a server that will not.
//
// These commands do not go through package sender. They are part of the handshake of
// one connection, on which they must be sent.
func track(o *redis.Options, prefix string, refused func(error)) {
	o.Protocol = 2 // in which announcements are messages
	before := o.OnConnect
	o.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
		if before != nil {
			if err := before(ctx, cn); err != nil {
				return err
			}
		}
		err := askToTrack(ctx, cn, prefix)
		if reply, ok := errors.AsType[redis.Error](err); ok && refuses(reply) {
			refused(err)
		}
		return err
	}
}

// refuses reports whether asking again soon would not help: the server does not know
// the command or its arguments, or does not permit it.
func refuses(reply redis.Error) bool {
	if r, refused := refusal.Of(reply); refused {
		return !r.Passes
	}
	return strings.HasPrefix(reply.Error(), "ERR ")
}

func askToTrack(ctx context.Context, cn *redis.Conn, prefix string) error {
	about, err := cn.Do(ctx, "HELLO").Slice()
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(about); i += 2 {
		if about[i] == "role" && about[i+1] != "master" {
			return errReplica
		}
	}
	id, err := cn.ClientID(ctx).Result()
	if err != nil {
		return err
	}
	return cn.Do(ctx, "CLIENT", "TRACKING", "ON", "REDIRECT", id, "BCAST", "PREFIX", prefix).Err()
}

// A roleError is reported like an error reply of the server.
type roleError string

func (e roleError) Error() string { return string(e) }

// RedisError makes it a redis.Error.
func (roleError) RedisError() {}

const errReplica roleError = "the server is a replica: changes are followed at primaries alone"
