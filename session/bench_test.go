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

func conversations(b testing.TB) (*redistest.Server, *redis.Client, *session.Store[conversation]) {
	s := redistest.Real(b)
	rdb := s.Client()
	store := newStoreOn[conversation](b, s, rdb)
	create(b, store, "1", conversation{SpeakerID: "user_1", StartedAt: aTalk().Started, State: waitingForLLM})
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
