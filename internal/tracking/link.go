package tracking

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/subscriber"
)

// channel is where a RESP2 server announces keys that have changed.
const channel = "__redis__:invalidate"

// A link follows the changes at one master, on a connection of its own.
type link struct {
	cfg   Config
	rdb   *redis.Client
	epoch atomic.Pointer[Epoch] // nil while there is none
	state atomic.Int32
	stop  context.CancelFunc
	done  chan struct{}
}

func newLink(ctx context.Context, cfg Config, rdb *redis.Client) *link {
	l := &link{cfg: cfg, rdb: rdb, done: make(chan struct{})}
	l.state.Store(int32(Connecting))
	ctx, l.stop = context.WithCancel(ctx)
	go func() {
		defer close(l.done)
		l.run(ctx)
	}()
	return l
}

// run follows the server, and asks a server that refuses again later.
func (l *link) run(ctx context.Context) {
	defer l.become(Connecting, nil)
	for l.follow(ctx) {
		switch {
		case !l.cfg.Untracked:
			l.become(Refused, nil)
		case State(l.state.Load()) != Untracked:
			l.become(Untracked, newEpoch(always))
		}
		select {
		case <-time.After(l.cfg.Again):
		case <-ctx.Done():
		}
	}
}

// follow tells changes until ctx ends, through however many connections, or
// until the server refuses, which it returns.
func (l *link) follow(ctx context.Context) (refused bool) {
	attempt, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	var epoch *Epoch // of the callbacks, which run one at a time
	sub, err := subscriber.New(l.rdb, subscriber.Config{
		Liveness: liveness,
		Tune:     func(o *redis.Options) { track(o, l.cfg.Prefix, giveUp) },
		OnLive: func() {
			if attempt.Err() == nil { // else the channel is about to be unsubscribed
				epoch = newEpoch(Now())
				l.become(Tracking, epoch)
			}
		},
		OnPong: func(at time.Time) {
			asked := at.Sub(began)
			if epoch != nil && !epoch.prolong(asked) && attempt.Err() == nil {
				// What is read from now on is announced after what still waits.
				epoch = newEpoch(asked)
				l.become(Tracking, epoch)
			}
		},
		OnMessage: l.invalidate,
		OnError: func(err error) {
			if epoch != nil {
				epoch = nil
				l.become(Connecting, nil)
			}
			if attempt.Err() == nil { // else it is told below
				l.cfg.OnError(err)
			}
		},
	})
	if err != nil { // not with a *redis.Client
		return true
	}
	ended := make(chan struct{})
	context.AfterFunc(attempt, func() {
		defer close(ended)
		if State(l.state.Load()) == Tracking {
			l.become(Connecting, nil) // before the connection closes
		}
		if err := sub.Close(); err != nil {
			l.cfg.OnError(err)
		}
	})
	// It ends with sub and not with attempt: else it would take the subscription back,
	// which takes a permission of its own.
	if err := sub.Subscribe(context.WithoutCancel(attempt), channel); err != nil {
		giveUp(err)
	}
	<-ended
	if ctx.Err() != nil {
		return false
	}
	l.cfg.OnError(redact.Clean(context.Cause(attempt)))
	return true
}

// become ends the epoch that there is in favour of the next.
func (l *link) become(state State, next *Epoch) {
	if old := l.epoch.Swap(next); old != nil {
		old.end()
	}
	l.state.Store(int32(state))
}

// invalidate passes on the keys of one announcement. FLUSHALL has none: go-redis
// makes an error of it, which ends the connection and thus the epoch.
func (l *link) invalidate(m *redis.Message) {
	for _, key := range m.PayloadSlice {
		l.cfg.OnInvalidate(key)
	}
	if m.PayloadSlice == nil {
		l.cfg.OnInvalidate(m.Payload)
	}
}

// track makes a connection announce the changes of keys with prefix to itself.
// refused is called when the server will not.
func track(o *redis.Options, prefix string, refused func(error)) {
	o.Protocol = 2 // where announcements are messages
	before := o.OnConnect
	o.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
		if before != nil {
			if err := before(ctx, cn); err != nil {
				return err
			}
		}
		err := askToTrack(ctx, cn, prefix)
		if reply, ok := errors.AsType[redis.Error](err); ok && refuses(reply.Error()) {
			refused(err)
		}
		return err
	}
}

// refuses says that asking again soon would not help: the server does not know
// the command, or does not permit it.
func refuses(reply string) bool {
	return strings.HasPrefix(reply, "ERR ") || strings.HasPrefix(reply, "NOPERM ")
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

// A roleError is told like a reply of the server.
type roleError string

func (e roleError) Error() string { return string(e) }

// RedisError makes it a redis.Error.
func (roleError) RedisError() {}

const errReplica roleError = "the server is a replica: changes are followed at masters alone"

// close ends the link and waits for it.
func (l *link) close() {
	l.stop()
	<-l.done
}
