package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/session"
)

// A visit is a session. It must exist with all fields or not at all.
type visit struct {
	Speaker string    `redis:"speaker,required"`
	Count   int64     `redis:"count,required"`
	State   string    `redis:"state,required"`
	Seen    time.Time `redis:"seen,touch"`
}

const (
	waiting  = "waiting"
	answered = "answered"
)

// visitor is what the model needs of a store of sessions.
type visitor interface {
	Create(ctx context.Context, id string, v visit) error
	Get(ctx context.Context, id string) (visit, error)
	Touch(ctx context.Context, id string) (visit, error)
	Update(ctx context.Context, id string, fn func(*visit) error) (visit, error)
	Answer(ctx context.Context, id string) (visit, error) // from waiting
}

type visitStore struct {
	*session.Store[visit]
	state *session.Field[string, visit]
}

func (s visitStore) Answer(ctx context.Context, id string) (visit, error) {
	return s.state.Transition(ctx, id, waiting, answered)
}

func openVisits(m *member, key string, ttl time.Duration) (visitor, error) {
	store, err := session.New[visit](m.rdb, session.Config{Key: key, TTL: ttl})
	if err != nil {
		return nil, err
	}
	state, err := session.FieldOf[string](store, "state")
	return visitStore{store, state}, err
}

const (
	longLived  = 2 * time.Minute // outlasts every round
	shortLived = 60 * time.Millisecond
	counters   = 4
	ephemerals = 12
)

// Sessions increments counts in long-lived sessions, makes concurrent transitions, and
// changes short-lived sessions while they expire.
type sessions struct {
	open        func(m *member, key string, ttl time.Duration) (visitor, error)
	rd          *round
	long, short map[*member]visitor
	counted     [counters]counter
	races       atomic.Int64
}

// A counter is what the model knows of a session's Count.
type counter struct {
	mu               sync.RWMutex // read-locked to count, write-locked to replace the session
	id               string       // empty until a session exists
	created          time.Time
	applied, unknown atomic.Int64
}

func newSessions() *sessions { return &sessions{open: openVisits} }

func (s *sessions) start(rd *round) {
	s.rd, s.long, s.short = rd, map[*member]visitor{}, map[*member]visitor{}
	for _, m := range rd.members {
		var err, err2 error
		s.long[m], err = s.open(m, "session:visit:*", longLived)
		s.short[m], err2 = s.open(m, "session:brief:*", shortLived)
		if err := errors.Join(err, err2); err != nil {
			rd.t.Fatal(err)
		}
	}
	rd.each(2, 3*time.Millisecond, func(rng *rand.Rand, m *member) { s.count(m, rng.IntN(counters)) })
	rd.each(1, 10*time.Millisecond, func(_ *rand.Rand, m *member) { s.race(m) })
	rd.each(2, 5*time.Millisecond, func(rng *rand.Rand, m *member) { s.useShortLived(m, rng) })
}

// count increments one count. A session that may have been lost is replaced by a new
// one.
func (s *sessions) count(m *member, i int) {
	c := &s.counted[i]
	c.mu.RLock()
	id, created := c.id, c.created
	if id == "" || !s.rd.window.durable(created, time.Now()) {
		c.mu.RUnlock()
		s.renew(m, c)
		return
	}
	defer c.mu.RUnlock()
	s.rd.call("Update", func(ctx context.Context) {
		_, err := s.long[m].Update(ctx, id, func(v *visit) error { v.Count++; return nil })
		switch {
		case err == nil:
			c.applied.Add(1)
		case errors.Is(err, rediskit.ErrUnavailable) && !errors.Is(err, session.ErrUncertain): // not sent
		case errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrCorrupt):
			if s.rd.window.durable(created, time.Now()) {
				s.rd.violated(exactUpdates, "a session that was created %v ago is gone: %v", time.Since(created), err)
			}
		default:
			c.unknown.Add(1)
		}
	})
}

func (s *sessions) renew(m *member, c *counter) {
	if !s.rd.window.durable(time.Now(), time.Now()) {
		return // a new session may be lost too
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id != "" && s.rd.window.durable(c.created, time.Now()) {
		return
	}
	id := fmt.Sprint("counter ", s.races.Add(1))
	created := time.Now()
	s.rd.call("Create", func(ctx context.Context) {
		if s.long[m].Create(ctx, id, visit{Speaker: "user_1", State: waiting}) == nil {
			c.id, c.created = id, created
			c.applied.Store(0)
			c.unknown.Store(0)
		}
	})
}

// race makes the same transition of one session four times at once, twice per member.
func (s *sessions) race(m *member) {
	began := time.Now()
	id := fmt.Sprint("race ", s.races.Add(1))
	var err error
	s.rd.call("Create", func(ctx context.Context) {
		err = s.long[m].Create(ctx, id, visit{Speaker: "user_1", State: waiting})
	})
	if err != nil {
		return
	}
	var won, unknown atomic.Int64
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			s.rd.call("Transition", func(ctx context.Context) {
				_, err := s.long[s.rd.members[i%2]].Answer(ctx, id)
				var conflict *session.ConflictError[string]
				switch {
				case err == nil:
					won.Add(1)
				case errors.As(err, &conflict):
				default:
					unknown.Add(1)
				}
			})
		})
	}
	all.Wait()
	if !s.rd.window.durable(began, time.Now()) {
		return
	}
	s.rd.checked(oneWinner, 1)
	if n := won.Load(); n > 1 || n == 0 && unknown.Load() == 0 {
		s.rd.violated(oneWinner, "%d of 4 transitions succeeded", n)
	}
}

// useShortLived reads or changes a session that expires soon.
func (s *sessions) useShortLived(m *member, rng *rand.Rand) {
	store, id := s.short[m], fmt.Sprint(rng.IntN(ephemerals))
	what := rng.IntN(7)
	s.rd.call("a short-lived session", func(ctx context.Context) {
		var v visit
		var err error
		switch what {
		case 0, 1:
			_ = store.Create(ctx, id, visit{Speaker: "user_2", State: waiting})
			return
		case 2:
			v, err = store.Touch(ctx, id)
		case 3:
			v, err = store.Update(ctx, id, func(v *visit) error { v.Count++; return nil })
		case 4:
			v, err = store.Answer(ctx, id)
		default:
			v, err = store.Get(ctx, id)
		}
		s.rd.checked(wholeSessions, 1)
		if errors.Is(err, session.ErrCorrupt) || err == nil && v.Speaker == "" {
			s.rd.violated(wholeSessions, "a session exists in part (after operation %d): %v", what, err)
		}
	})
	sleep(s.rd.stop, time.Duration(rng.Int64N(int64(shortLived/2))))
}

func (s *sessions) works(ctx context.Context, m *member) error {
	id := fmt.Sprint("works ", s.races.Add(1))
	if err := s.long[m].Create(ctx, id, visit{Speaker: "user_1", State: waiting}); err != nil {
		return err
	}
	_, err := s.long[m].Answer(ctx, id)
	return err
}

func (s *sessions) check(rd *round) {
	for i := range s.counted {
		c := &s.counted[i]
		if c.id == "" || !rd.window.durable(c.created, time.Now()) {
			continue
		}
		rd.call("Get", func(ctx context.Context) {
			v, err := s.long[rd.members[0]].Get(ctx, c.id)
			applied, unknown := c.applied.Load(), c.unknown.Load()
			rd.checked(exactUpdates, int(applied))
			if err != nil || v.Count < applied || v.Count > applied+unknown {
				rd.violated(exactUpdates, "%d updates succeeded, %d have an unknown outcome, the count is %d: %v", applied, unknown, v.Count, err)
			}
		})
	}
}

func (s *sessions) close() error { return nil }
