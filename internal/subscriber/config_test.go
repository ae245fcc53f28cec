package subscriber

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	rdb := redistest.Mini(t).Client()
	for _, patience := range []time.Duration{-1, time.Millisecond, math.MaxInt64} {
		cfg := Config{OnMessage: func(*redis.Message) {}, Liveness: patience}
		if _, err := New(rdb, cfg); err == nil || !strings.Contains(err.Error(), "Config.Liveness") {
			t.Errorf("with a Liveness of %v: %v", patience, err)
		}
	}
	if _, err := New(rdb, Config{}); err == nil || !strings.Contains(err.Error(), "Config.OnMessage") {
		t.Errorf("without OnMessage: %v", err)
	}
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	if _, err := New(ring, Config{}); err == nil {
		t.Error("a ring was accepted")
	}
}
