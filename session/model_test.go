package session_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

// A pair is whole only if both halves are there and equal.
type pair struct {
	Left  int       `redis:"left,required"`
	Right int       `redis:"right,required"`
	Last  time.Time `redis:"last,touch,required"`
}

// Sessions of a short life are created, changed and deleted by many at once
// while they expire: none may be without a TTL, or in part.
func TestRandomOperationsLeaveNoPartAndNoImmortal(t *testing.T) {
	t.Parallel()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		s := redistest.Mini(t)
		m := model{client: func() *redis.Client { return s.Client() }, ttl: 2 * time.Second, ops: 4_000, pass: func(r *rand.Rand) {
			if r.IntN(4) == 0 {
				s.Advance(time.Duration(r.IntN(400)) * time.Millisecond)
			}
		}}
		m.run(t)
		s.Advance(time.Minute)
		if left := m.client().Keys(t.Context(), "*").Val(); len(left) != 0 {
			t.Errorf("%d keys outlive every TTL: %.200q", len(left), left)
		}
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		p := redistest.Start(t)
		m := model{client: func() *redis.Client { return p.Client() }, ttl: 3 * time.Millisecond, ops: 96_000, pass: func(*rand.Rand) {}}
		m.run(t)
		redistest.Eventually(t, func() bool { return len(m.client().Keys(t.Context(), "session:*").Val()) == 0 }, "all sessions end")
	})
}

type model struct {
	client func() *redis.Client
	ttl    time.Duration
	ops    int
	pass   func(*rand.Rand) // lets time pass
}

func (m model) run(t *testing.T) {
	const workers = 4
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var met atomic.Int64
	var wg sync.WaitGroup
	for i := range workers {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		cfg := session.Config{Key: "session:*", TTL: m.ttl}
		if i%2 == 0 {
			cfg.MaxLifetime = 5 * m.ttl
		}
		store, err := session.New[pair](m.client(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		left, err := session.FieldOf[int](store, "left")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for range m.ops / workers {
				m.pass(r)
				// Some ids are met many times within a TTL, others hardly ever.
				ok, err := step(t.Context(), r, strconv.Itoa(r.IntN(1+r.IntN(40))), store, left)
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					met.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := int(met.Load()); n < m.ops/50 || n > m.ops*49/50 {
		t.Errorf("%d of %d operations met a session; some should, and some not", n, m.ops)
	}
	ctx, rdb := t.Context(), m.client()
	keys := rdb.Keys(ctx, "*").Val()
	ttls, err := rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			p.PTTL(ctx, key)
		}
		return nil
	})
	for i, ttl := range ttls {
		if ttl.(*redis.DurationCmd).Val() == -1 {
			t.Errorf("%s has no TTL", keys[i])
		}
	}
	if len(keys) == 0 || err != nil {
		t.Errorf("%d keys, %v; want records at least", len(keys), err)
	}
}

// step does something at random. ok says that it met a session; err is what must
// not be.
func step(ctx context.Context, r *rand.Rand, id string, store *session.Store[pair], left *session.Field[int, pair]) (ok bool, err error) {
	n := r.IntN(1000)
	var v pair
	switch r.IntN(8) {
	case 0:
		err = store.Create(ctx, id, pair{Left: n, Right: n})
	case 1:
		err = store.Put(ctx, id, pair{Left: n, Right: n})
	case 2:
		err = store.Delete(ctx, id)
	case 3, 4:
		v, err = store.Touch(ctx, id)
	case 5:
		v, err = store.Update(ctx, id, func(v *pair) error {
			if v.Left != v.Right {
				return fmt.Errorf("fn got %+v", *v)
			}
			v.Left, v.Right = n, n
			return nil
		})
	case 6:
		v, err = store.Get(ctx, id)
		if err == nil { // a transition to the same value, of a session that may be another by now
			_, err = left.Transition(ctx, id, v.Left, v.Left)
		}
	case 7:
		v, err = store.Get(ctx, id)
	}
	switch {
	case errors.Is(err, session.ErrNotFound), errors.Is(err, session.ErrExists), errors.Is(err, session.ErrConflict):
		return false, nil
	case v.Left != v.Right:
		return true, fmt.Errorf("half a session: %+v", v)
	}
	return err == nil, err
}
