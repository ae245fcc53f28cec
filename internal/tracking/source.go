package tracking

import (
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit/internal/primary"
)

// A source is the server at the other end of a link's connection. Its epoch is valid
// while it answers PINGs and, if the connection was dialled through a primary.Watch,
// while the Watch confirms that it counts. An old primary may answer for ever, without
// announcing what is written to the new one.
type source struct {
	watched   atomic.Bool
	gone      atomic.Bool
	pinged    atomic.Int64 // when the last PING was sent that was answered, by Now
	confirmed atomic.Int64 // when the last look began that confirmed the server, by Now
	epoch     atomic.Pointer[Epoch]
}

func (s *source) follower() *primary.Follower {
	s.confirmed.Store(ended)
	return &primary.Follower{
		OnDial: func() { s.watched.Store(true) },
		OnEnd: func(error) {
			s.gone.Store(true)
			s.endEpoch()
		},
		OnConfirm: func(at time.Time) {
			s.confirmed.Store(int64(at.Sub(began)))
			if e := s.epoch.Load(); e != nil {
				e.prolong(s.since())
			}
		},
	}
}

// since is the time from which on the server is known to announce every change.
func (s *source) since() time.Duration {
	at := s.pinged.Load()
	if s.watched.Load() {
		at = min(at, s.confirmed.Load())
	}
	return time.Duration(at)
}

// ponged takes the reply to a PING that was sent at pinged. It returns the epoch that
// begins, nil if the last one goes on or none can begin.
func (s *source) ponged(pinged time.Duration) (begun *Epoch) {
	s.pinged.Store(int64(pinged))
	since := s.since()
	if last := s.epoch.Load(); last != nil && last.prolong(since) || !validAt(Now(), int64(since)) {
		return nil
	}
	begun = newEpoch(since)
	s.epoch.Store(begun)
	if s.gone.Load() {
		s.endEpoch() // OnEnd may have ended the epoch before
	}
	return begun
}

func (s *source) endEpoch() {
	if e := s.epoch.Load(); e != nil {
		e.end()
	}
}
