package tracking

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer rdb.Close()
	complete := Config{OnInvalidate: func(string) {}, OnError: func(error) {}}
	for field, change := range map[string]func(*Config){
		"OnInvalidate": func(c *Config) { c.OnInvalidate = nil },
		"OnError":      func(c *Config) { c.OnError = nil },
		"Again":        func(c *Config) { c.Again = -time.Second },
	} {
		cfg := complete
		change(&cfg)
		if _, err := New(rdb, cfg); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("New: %v, want Config.%s in it", err, field)
		}
	}
	if cfg, err := complete.complete(); err != nil || cfg.Again != time.Minute {
		t.Errorf("Again defaults to %v, %v", cfg.Again, err)
	}
}
