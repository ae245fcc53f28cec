package tracking

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/primary"
	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/subscriber"
)

// channel is where a RESP2 server announces keys that have changed.
const channel = "__redis__:invalidate"

// A link follows the changes at one primary, on a connection of its own. It owns one
// goroutine, beside those of the subscriber that it makes.
type link struct {
	cfg   Config
	rdb   *redis.Client
	epoch atomic.Pointer[Epoch] // nil while there is none
	state atomic.Int32
	life  *life.Life
}

func newLink(cfg Config, rdb *redis.Client) *link {
	l := &link{cfg: cfg, rdb: rdb, life: life.New(cfg.OnError)}
	l.state.Store(int32(Connecting))
	l.life.Go(context.Background(), l.run)
	return l
}

// run follows the primary. If that refuses, run asks again later.
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

// follow reports changes, over as many connections as it takes, until ctx ends or the
// primary refuses. It returns whether the primary refused.
func (l *link) follow(ctx context.Context) (refused bool) {
	attempt, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	sub, err := subscriber.New(l.rdb, l.callbacks(attempt, giveUp))
	if err != nil { // never with a *redis.Client
		l.cfg.OnError(err)
		return true
	}
	closed := make(chan error, 1)
	context.AfterFunc(attempt, func() {
		if State(l.state.Load()) == Tracking {
			l.become(Connecting, nil) // before the connection closes
		}
		closed <- sub.Close()
	})
	// Subscribe ends when sub is closed. It must not end with attempt: it would then
	// send UNSUBSCRIBE, which takes another permission.
	if err := sub.Subscribe(context.WithoutCancel(attempt), channel); err != nil {
		giveUp(err)
	}
	if err := <-closed; err != nil {
		l.cfg.OnError(err)
	}
	if ctx.Err() != nil {
		return false
	}
	l.cfg.OnError(redact.Clean(context.Cause(attempt)))
	return true
}

// callbacks returns the Config of a subscriber that makes the link's epochs, until
// attempt ends. giveUp ends it when the primary refuses.
func (l *link) callbacks(attempt context.Context, giveUp context.CancelCauseFunc) subscriber.Config {
	var current *source // of the connection, from its dial on
	answered := func(pinged time.Duration) {
		if attempt.Err() != nil {
			return // the connection is about to close
		}
		// Another epoch may begin: a change of what is read from now on is announced
		// after the announcements that are still unread.
		if epoch := current.ponged(pinged); epoch != nil {
			l.become(Tracking, epoch)
		}
	}
	return subscriber.Config{
		Liveness:  liveness,
		Tune:      func(o *redis.Options) { track(o, l.cfg.Prefix, giveUp) },
		OnLive:    func() { answered(Now()) },
		OnMessage: l.invalidate,
		OnPong:    func(at time.Time) { answered(at.Sub(began)) },
		Follower: func() *primary.Follower {
			current = &source{}
			return current.follower()
		},
		OnError: func(err error) {
			if State(l.state.Load()) == Tracking {
				l.become(Connecting, nil)
			}
			if attempt.Err() == nil { // else follow reports why
				l.cfg.OnError(err)
			}
		},
	}
}

// become sets the state and the next epoch, and ends the epoch before.
func (l *link) become(state State, next *Epoch) {
	if last := l.epoch.Swap(next); last != nil {
		last.end()
	}
	l.state.Store(int32(state))
}

// invalidate passes on the keys of one announcement. That of FLUSHALL has none:
// go-redis makes an error of it, which ends the connection and thus the epoch.
func (l *link) invalidate(m *redis.Message) {
	for _, key := range m.PayloadSlice {
		l.cfg.OnInvalidate(key)
	}
	if m.PayloadSlice == nil {
		l.cfg.OnInvalidate(m.Payload)
	}
}
