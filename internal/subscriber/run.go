package subscriber

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	firstPause = 10 * time.Millisecond
	maxPause   = 2 * time.Second
)

// run makes one session after another for as long as topics are wanted.
func (s *Subscriber) run() {
	defer close(s.done)
	var gap error // the cause of the first loss that OnGap was not told yet
	for attempt := 0; s.awaitTopics(); attempt++ {
		began := time.Now()
		c := &session{Subscriber: s, gap: &gap}
		err := c.serve()
		if s.life.Err() != nil {
			return
		}
		if errors.Is(err, redis.ErrClosed) {
			s.end(ErrClientClosed)
			if s.cfg.OnEnd != nil {
				s.cfg.OnEnd(ErrClientClosed)
			}
			return
		}
		pause := pauseAfter(attempt)
		if c.live && time.Since(began) > pause {
			attempt, pause = 0, pauseAfter(0)
		}
		s.sleep(pause/2 + rand.N(pause/2))
	}
}

// awaitTopics returns true once there are topics, false when s has ended.
func (s *Subscriber) awaitTopics() bool {
	for s.life.Err() == nil {
		s.mu.Lock()
		wanted := len(s.topics) > 0
		s.mu.Unlock()
		if wanted {
			return true
		}
		select {
		case <-s.wake:
		case <-s.life.Done():
		}
	}
	return false
}

// pauseAfter is 10 ms, 20 ms and so on up to 2 s. A random half of it is taken:
// what lost its connections together does not come back together.
func pauseAfter(attempt int) time.Duration {
	return min(firstPause<<min(attempt, 10), maxPause)
}

func (s *Subscriber) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.life.Done():
	}
}

// failed notes why there is no connection. Who never had one and is told that it
// may not have one does not go on waiting.
func (s *Subscriber) failed(err error) {
	if s.life.Err() != nil || errors.Is(err, redis.ErrClosed) {
		return
	}
	s.mu.Lock()
	s.failure = err
	if redis.IsAuthError(err) || redis.IsPermissionError(err) {
		for t, in := range s.topics {
			if !in.known {
				s.refuse(t, in, err)
			}
		}
	}
	s.mu.Unlock()
	if s.cfg.OnError != nil {
		s.cfg.OnError(err)
	}
}
