package subscriber

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/life"
	"github.com/convkit/rediskit/internal/refusal"
)

const (
	firstReconnectPause = 10 * time.Millisecond
	maxReconnectPause   = time.Second
)

// run makes one session after another for as long as topics are wanted.
func (s *Subscriber) run(ctx context.Context) {
	for attempt := 0; s.topics.await(ctx); attempt++ {
		began := time.Now()
		session := &session{sub: s, doubt: make(chan struct{}, 1)}
		err := session.serve(ctx)
		if s.life.Ended() {
			return
		}
		if errors.Is(err, redis.ErrClosed) {
			s.life.End(ErrClientClosed)
			if s.cfg.OnEnd != nil {
				s.cfg.OnEnd(ErrClientClosed)
			}
			return
		}
		s.disconnected(err)
		pause := pauseAfter(attempt)
		if session.live && time.Since(began) > pause {
			attempt, pause = 0, pauseAfter(0)
		}
		life.Sleep(ctx, pause/2+rand.N(pause/2))
	}
}

// disconnected notes and reports why there is no connection.
func (s *Subscriber) disconnected(err error) {
	s.mu.Lock()
	s.failure, s.current = err, nil
	s.mu.Unlock()
	if s.gap == nil && s.topics.anyConfirmed() {
		s.gap = err
	}
	if r, refused := refusal.Of(err); refused && !r.Passes || errors.Is(err, refusal.ErrMisfit) {
		s.topics.refuseAll(err) // waiting longer would not help
	}
	s.report(err)
}

// pauseAfter is 10 ms, 20 ms and so on up to 1 s. A random half of it is taken, so
// that processes that lost their connections together do not come back together.
func pauseAfter(attempt int) time.Duration {
	return min(firstReconnectPause<<min(attempt, 10), maxReconnectPause)
}
