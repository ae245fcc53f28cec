package tracking

import (
	"strconv"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// A follower is a Tracker and what it reported.
type follower struct {
	*Tracker
	t    testing.TB
	mu   sync.Mutex
	keys map[string]int
	errs []error
}

func follow(t testing.TB, rdb redis.UniversalClient, prefix string, set ...func(*Config)) *follower {
	t.Helper()
	f := &follower{t: t, keys: map[string]int{}}
	cfg := Config{
		Prefix: prefix,
		OnInvalidate: func(key string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.keys[key]++
		},
		OnError: func(err error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.errs = append(f.errs, err)
		},
	}
	for _, s := range set {
		s(&cfg)
	}
	var err error
	if f.Tracker, err = New(rdb, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// epoch returns the epoch of key if it is valid, else nil.
func (f *follower) epoch(key string) *Epoch {
	if _, e := f.Primary(f.t.Context(), key); e.Valid(Now()) {
		return e
	}
	return nil
}

// await waits for an epoch of key other than old.
func (f *follower) await(key string, old *Epoch) *Epoch {
	f.t.Helper()
	var e *Epoch
	redistest.Eventually(f.t, func() bool { e = f.epoch(key); return e != nil && e != old }, "another epoch")
	return e
}

func (f *follower) count(key string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keys[key]
}

func (f *follower) hasError(is func(error) bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, err := range f.errs {
		if is(err) {
			return true
		}
	}
	return false
}

func portOf(p *redistest.Process) string { return strconv.Itoa(p.Port()) }
