package session_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/convkit/rediskit/session"
)

// MaxLifetime ends even a session that is always active.
func ExampleConfig_maxLifetime() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()
	now := time.Unix(1764000000, 0)
	server.SetTime(now)

	calls, err := session.New[Call](rdb, session.Config{
		Key:         "call:*",
		TTL:         5 * time.Minute,
		MaxLifetime: 12 * time.Minute,
	})
	if err != nil {
		panic(err)
	}
	_ = calls.Create(ctx, "c1", Call{SpeakerID: "user_1", Phase: Listening})

	for range 3 {
		now = now.Add(4 * time.Minute)
		server.SetTime(now)
		server.FastForward(4 * time.Minute)
		if _, err := calls.Touch(ctx, "c1"); errors.Is(err, session.ErrNotFound) {
			fmt.Println("ended")
			break
		}
		fmt.Println("touched; the TTL is", rdb.TTL(ctx, "call:c1").Val())
	}
	// Output:
	// touched; the TTL is 5m0s
	// touched; the TTL is 4m0s
	// ended
}
