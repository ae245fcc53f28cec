package session_test

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/session"
)

// byHand is what go-redis can scan of a session.
type byHand struct {
	SpeakerID    string `redis:"speaker_id"`
	StartedAt    int64  `redis:"started_at"`
	LastActivity int64  `redis:"last_activity"`
	State        string `redis:"state"`
}

func scan(rdb *redis.Client, b testing.TB, prefix, id string) (v byHand, err error) {
	read := rdb.HGetAll(b.Context(), prefix+id)
	if err := read.Scan(&v); err != nil {
		return v, err
	}
	if len(read.Val()) == 0 {
		return v, errors.New("not found")
	}
	return v, nil
}

func conversations(b testing.TB) (*redistest.Server, *redis.Client, *session.Store[session.Conversation]) {
	s := redistest.Real(b)
	rdb := s.Client()
	store := newStoreOn[session.Conversation](b, s, rdb)
	create(b, store, "1", session.Conversation{SpeakerID: "user_1", StartedAt: aTalk().Started, State: session.WaitingForLLM})
	return s, rdb, store
}

func TestAGetAllocatesNoMoreThanReadingByHand(t *testing.T) {
	s, rdb, store := conversations(t)
	prefix := keyOf(s, "")
	hand := testing.AllocsPerRun(200, func() {
		if _, err := scan(rdb, t, prefix, "1"); err != nil {
			t.Fatal(err)
		}
	})
	got := testing.AllocsPerRun(200, func() {
		if _, err := store.Get(t.Context(), "1"); err != nil {
			t.Fatal(err)
		}
	})
	if got > hand {
		t.Errorf("a Get allocates %v times, HGETALL and Scan %v", got, hand)
	}
}

// BenchmarkGet compares a Get with HGETALL and Scan of go-redis. Run it with
// -count 10 and give benchstat -col /of the output.
func BenchmarkGet(b *testing.B) {
	s, rdb, store := conversations(b)
	prefix := keyOf(s, "")
	parallel(b, "of=scan", func() error { _, err := scan(rdb, b, prefix, "1"); return err })
	parallel(b, "of=Get", func() error { _, err := store.Get(b.Context(), "1"); return err })
}

// BenchmarkTouch compares a Touch with the pipeline of HSET, PEXPIRE and HGETALL
// that would bring an expired session back.
func BenchmarkTouch(b *testing.B) {
	s, rdb, store := conversations(b)
	key := keyOf(s, "1")
	parallel(b, "of=pipeline", func() error {
		_, err := rdb.Pipelined(b.Context(), func(p redis.Pipeliner) error {
			p.HSet(b.Context(), key, "last_activity", "1764000000000")
			p.PExpire(b.Context(), key, 60e9)
			p.HGetAll(b.Context(), key)
			return nil
		})
		return err
	})
	parallel(b, "of=Touch", func() error { _, err := store.Touch(b.Context(), "1"); return err })
}

// BenchmarkTransition compares a transition with a WATCH, HGET, MULTI, HSET,
// PEXPIRE and EXEC of go-redis, each by one caller at a time.
func BenchmarkTransition(b *testing.B) {
	s, rdb, store := conversations(b)
	key, ctx := keyOf(s, "1"), b.Context()
	state, err := session.FieldOf[session.State](store, "state")
	if err != nil {
		b.Fatal(err)
	}
	b.Run("of=watch", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			err := rdb.Watch(ctx, func(tx *redis.Tx) error {
				if _, err := tx.HGet(ctx, key, "state").Result(); err != nil {
					return err
				}
				_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
					p.HSet(ctx, key, "state", "waiting_for_llm")
					p.PExpire(ctx, key, 60e9)
					return nil
				})
				return err
			}, key)
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("of=Transition", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := state.Transition(ctx, "1", session.WaitingForLLM, session.WaitingForLLM); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func parallel(b *testing.B, name string, call func() error) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := call(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
