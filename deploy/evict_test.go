package deploy

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/lock"
	"github.com/convkit/rediskit/ratelimit"
	"github.com/convkit/rediskit/session"
)

const (
	each       = 1000      // locks, sessions and counters
	cacheWrite = 300 << 20 // bytes
)

func TestAFullCacheEvictsNoState(t *testing.T) {
	t.Parallel()
	s := up(t, "compose.yaml")
	state := s.connect("redis-state")
	left := keep(t, state)
	fill(t, s.connect("redis"))

	if evicted := s.evicted("redis"); evicted == 0 {
		t.Error("the cache evicted nothing: the test writes too little")
	}
	if evicted := s.evicted("redis-state"); evicted != 0 {
		t.Errorf("the state instance evicted %d keys", evicted)
	}
	for kind, n := range left() {
		if n != each {
			t.Errorf("%d of %d %s are left", n, each, kind)
		}
	}
}

// The warnings in compose.single.yaml are about this.
func TestASingleInstanceEvictsItsState(t *testing.T) {
	t.Parallel()
	s := up(t, "compose.single.yaml")
	rdb := s.connect("redis")
	left := keep(t, rdb)
	fill(t, rdb)
	total := 0
	for kind, n := range left() {
		t.Logf("%d of %d %s are left", n, each, kind)
		total += n
	}
	if total == 3*each {
		t.Error("everything is left: the warnings are wrong, or the test writes too little")
	}
}

// keep makes locks, sessions and counters, which stay idle. left returns how many of each
// kind still exist.
func keep(t *testing.T, rdb redis.UniversalClient) (left func() map[string]int) {
	t.Helper()
	ctx := t.Context()
	locks, err := lock.New(rdb, lock.Config{Key: "lock:*", TTL: 10 * time.Minute})
	ok(t, err)
	t.Cleanup(func() { locks.Close() })
	sessions, err := session.New[talk](rdb, session.Config{Key: "session:*", TTL: time.Hour})
	ok(t, err)
	limiter, err := ratelimit.New(rdb, ratelimit.Config{Key: "rate_limit:*"}, ratelimit.PerHour(100))
	ok(t, err)
	for i := range each {
		id := fmt.Sprint(i)
		_, err := locks.Try(ctx, id)
		ok(t, err)
		ok(t, sessions.Create(ctx, id, talk{Speaker: id}))
		_, err = limiter.Allow(ctx, id)
		ok(t, err)
	}
	return func() map[string]int {
		left := map[string]int{}
		for kind, prefix := range map[string]string{"locks": "lock:", "sessions": "session:", "counters": "rate_limit:"} {
			pipe := rdb.Pipeline()
			for i := range each {
				pipe.Exists(ctx, fmt.Sprint(prefix, i))
			}
			found, err := pipe.Exec(ctx)
			ok(t, err)
			for _, reply := range found {
				left[kind] += int(reply.(*redis.IntCmd).Val())
			}
		}
		return left
	}
}

// fill writes 300 MB under keys of the cache.
func fill(t *testing.T, rdb redis.UniversalClient) {
	t.Helper()
	value := bytes.Repeat([]byte("x"), 64<<10)
	for i := 0; i < cacheWrite/len(value); i += 100 {
		pipe := rdb.Pipeline()
		for j := range 100 {
			pipe.SetEx(t.Context(), fmt.Sprintf("conversations:%d:list", i+j), value, time.Hour)
		}
		_, err := pipe.Exec(t.Context())
		ok(t, err)
	}
}

func (s *stack) evicted(service string) int64 {
	s.t.Helper()
	var n int64
	info := s.client(service, "admin").InfoMap(s.t.Context(), "stats").Item("Stats", "evicted_keys")
	if _, err := fmt.Sscan(info, &n); err != nil {
		s.t.Fatalf("evicted_keys: %v", err)
	}
	return n
}
