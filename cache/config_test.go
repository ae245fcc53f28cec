package cache_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/cache"
)

func TestNewNamesTheFieldThatIsWrong(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // New sends nothing
	defer rdb.Close()
	for want, set := range map[string]func(*cache.Config){
		"Config.Key is empty":      func(c *cache.Config) { c.Key = "" },
		"Config.Key has no '*'":    func(c *cache.Config) { c.Key = "list" },
		"Config.TTL is 0s":         func(c *cache.Config) { c.TTL = 0 },
		"Config.TTL is -1s":        func(c *cache.Config) { c.TTL = -time.Second },
		"Config.TTL is 999µs":      func(c *cache.Config) { c.TTL = 999 * time.Microsecond },
		"Config.Jitter is -0.1":    func(c *cache.Config) { c.Jitter = -0.1 },
		"Config.Jitter is 1":       func(c *cache.Config) { c.Jitter = 1 },
		"Config.Jitter is NaN":     func(c *cache.Config) { c.Jitter = math.NaN() },
		"Config.LoadTimeout is -1": func(c *cache.Config) { c.LoadTimeout = -1 },
		"Config.WaitTimeout is":    func(c *cache.Config) { c.WaitTimeout = time.Microsecond },
		"Config.NegativeTTL is":    func(c *cache.Config) { c.NegativeTTL = -time.Second },
		"Config.StaleFor is":       func(c *cache.Config) { c.StaleFor = time.Nanosecond },
		"Config.RefreshAhead is":   func(c *cache.Config) { c.RefreshAhead = time.Minute },
		"shortest TTL, 30s":        func(c *cache.Config) { c.RefreshAhead, c.Jitter = 40*time.Second, 0.5 },
		"Config.MaxValueBytes is":  func(c *cache.Config) { c.MaxValueBytes = -1 },
		"Local.MaxEntries is -1":   func(c *cache.Config) { c.Local.MaxEntries = -1 },
		"Local.MaxEntries is 0;":   func(c *cache.Config) { c.Local.ReadOnly = true },
		"Local.MaxEntries is 9999": func(c *cache.Config) { c.Local.MaxEntries = 99999999 },
		"Local.MaxAge is -1s":      func(c *cache.Config) { c.Local = cache.Local{MaxEntries: 1, MaxAge: -time.Second} },
		"Local.MaxAge is 1µs":      func(c *cache.Config) { c.Local = cache.Local{MaxEntries: 1, MaxAge: time.Microsecond} },
	} {
		cfg := cache.Config{Key: "conversations:*:list", TTL: time.Minute}
		set(&cfg)
		_, err := cache.New[string](rdb, cfg)
		if err == nil || !strings.HasPrefix(err.Error(), "cache: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v; want an error with %q", err, want)
		}
	}
}

func TestNewRefusesClientsThatItCannotServe(t *testing.T) {
	t.Parallel()
	cfg := cache.Config{Key: "conversations:*:list", TTL: time.Minute}
	if _, err := cache.New[string](nil, cfg); err == nil || !strings.Contains(err.Error(), "needs a client") {
		t.Errorf("New(nil) = %v", err)
	}
	ring := redis.NewRing(&redis.RingOptions{})
	defer ring.Close()
	if _, err := cache.New[string](ring, cfg); err == nil || !strings.Contains(err.Error(), "*redis.Ring") {
		t.Errorf("New(Ring) = %v", err)
	}
}
