package rediskit_test

import (
	"fmt"
	"os"

	"github.com/convkit/rediskit"
)

// A prefix names a second Redis. Errors name the variable and never its value.
func ExampleConfigFromEnv() {
	for name, value := range map[string]string{
		"STATE_REDIS_ADDR":        "redis-state:6379",
		"STATE_REDIS_NO_EVICTION": "true",
	} {
		os.Setenv(name, value)
		defer os.Unsetenv(name)
	}

	cache, err := rediskit.ConfigFromEnv("") // nothing is set: the defaults
	fmt.Println(len(cache.Addrs), cache.NoEviction, err)
	state, err := rediskit.ConfigFromEnv("STATE_")
	fmt.Println(state.Addrs, state.NoEviction, err)

	os.Setenv("STATE_REDIS_DB", "hunter2")
	defer os.Unsetenv("STATE_REDIS_DB")
	_, err = rediskit.ConfigFromEnv("STATE_")
	fmt.Println(err)
	// Output:
	// 0 false <nil>
	// [redis-state:6379] true <nil>
	// rediskit: STATE_REDIS_DB must be a whole number, 0 or more
}

func ExampleConfigFromURL() {
	cfg, err := rediskit.ConfigFromURL("rediss://app:hunter2@redis-state:6380/1")
	fmt.Println(cfg.Addrs, cfg.Username, cfg.DB, cfg.TLS != nil, err)
	// Output: [redis-state:6380] app 1 true <nil>
}
