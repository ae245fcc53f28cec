package lock_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/lock"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ReadTimeout: 80 * time.Millisecond})
	defer rdb.Close()
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	for field, c := range map[string]struct {
		rdb redis.UniversalClient
		cfg lock.Config
	}{
		"a client":         {nil, lock.Config{Key: "lock:*"}},
		"Ring":             {ring, lock.Config{Key: "lock:*"}},
		"Config.Key":       {rdb, lock.Config{Key: "lock"}},
		"Config.TTL":       {rdb, lock.Config{Key: "lock:*", TTL: 99 * time.Millisecond}},
		"Config.MaxHold":   {rdb, lock.Config{Key: "lock:*", TTL: time.Minute, MaxHold: time.Second}},
		"Config.Poll":      {rdb, lock.Config{Key: "lock:*", Poll: time.Millisecond}},
		"Replicas.N":       {rdb, lock.Config{Key: "lock:*", Replicas: lock.Replicas{N: -1}}},
		"ReadTimeout":      {rdb, lock.Config{Key: "lock:*", Replicas: lock.Replicas{N: 1}}},
		"a third of TTL":   {rdb, lock.Config{Key: "lock:*", TTL: 150 * time.Millisecond, Replicas: lock.Replicas{N: 1, Timeout: 60 * time.Millisecond}}},
		"Replicas.Timeout": {rdb, lock.Config{Key: "lock:*", Replicas: lock.Replicas{N: 1, Timeout: time.Microsecond}}},
	} {
		k, err := lock.New(c.rdb, c.cfg)
		if k != nil || err == nil || !strings.HasPrefix(err.Error(), "lock: ") || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: New = %v, %v", field, k, err)
		}
	}
	k, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: time.Hour})
	if err != nil || k.Name() != "lock:*" {
		t.Errorf("a TTL longer than the default MaxHold: %v", err)
	} else if err := k.Close(); err != nil {
		t.Error(err)
	}
}

func TestALockLastsTenSecondsByDefault(t *testing.T) {
	t.Parallel()
	redistest.Run(t, func(t *testing.T, s *redistest.Server) {
		k := newLocker(t, s)
		mustTry(t, k, "1")
		if left := s.Client().PTTL(t.Context(), keyOf(s, "1")).Val(); left <= 9*time.Second || left > 10*time.Second {
			t.Errorf("the lock has %v left, want up to 10s", left)
		}
	})
}
