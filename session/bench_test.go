package session_test

import (
	"errors"
	"fmt"
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

func conversations(b testing.TB) (*redistest.Server, *redis.Client, *session.Store[conversation]) {
	s := redistest.Real(b)
	rdb := s.Client()
	store := newStoreOn[conversation](b, s, rdb)
	create(b, store, "1", conversation{SpeakerID: "user_1", StartedAt: aTalk().Started, State: waitingForLLM})
	return s, rdb, store
}

// BenchmarkReplicas shows what the wait for one replica adds to a change. Run it with -count
// 10 and give benchstat -col /replicas of the output.
func BenchmarkReplicas(b *testing.B) {
	primary := redistest.Start(b)
	redistest.StartReplica(b, primary)
	rdb := primary.Client(func(o *redis.Options) { o.PoolSize = 64 })
	for _, goroutines := range []int{2, 64} {
		for _, n := range []int{0, 1} {
			store := storeAt(b, rdb, replicas(n, long))
			_ = store.Create(b.Context(), "1", aTalk()) // each after the first is an ErrExists
			b.Run(fmt.Sprintf("goroutines=%d/replicas=%d", goroutines, n), func(b *testing.B) {
				b.SetParallelism(goroutines / 2) // times GOMAXPROCS
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := store.Touch(b.Context(), "1"); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
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
