package session_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/secrets"
	"github.com/convkit/rediskit/session"
)

type Phase string

const (
	Listening Phase = "listening"
	Thinking  Phase = "thinking"
	Speaking  Phase = "speaking"
)

type Call struct {
	SpeakerID    string    `redis:"speaker_id,required"`
	StartedAt    time.Time `redis:"started_at"`
	Phase        Phase     `redis:"phase,required"`
	Turns        int       `redis:"turns"`
	LastActivity time.Time `redis:"last_activity,touch"` // stamped by the store
}

// startRedis starts a Redis inside this process and connects to it. A service
// only calls rediskit.Connect.
func startRedis() (*miniredis.Miniredis, redis.UniversalClient) {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	rdb, err := rediskit.Connect(context.Background(), rediskit.Config{
		Addrs:    []string{server.Addr()},
		Password: secrets.None(),
	})
	if err != nil {
		panic(err)
	}
	return server, rdb
}

// A session is a hash of plain texts, which programs in other languages can read
// and write.
func Example() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	calls, err := session.New[Call](rdb, session.Config{Key: "call:*", TTL: 5 * time.Minute})
	if err != nil {
		panic(err)
	}
	call := Call{SpeakerID: "user_1", StartedAt: time.UnixMilli(1764000000000), Phase: Listening}
	fmt.Println(calls.Create(ctx, "c1", call))
	fmt.Println(errors.Is(calls.Create(ctx, "c1", call), session.ErrExists))
	fmt.Println(rdb.HMGet(ctx, "call:c1", "speaker_id", "started_at", "phase", "turns").Val())

	call, err = calls.Touch(ctx, "c1") // the TTL begins anew
	fmt.Println(call.SpeakerID, call.StartedAt.Format(time.RFC3339), call.Phase, err)

	fmt.Println(calls.Delete(ctx, "c1"))
	_, err = calls.Get(ctx, "c1")
	fmt.Println(errors.Is(err, session.ErrNotFound))
	// Output:
	// <nil>
	// true
	// [user_1 1764000000000 listening 0]
	// user_1 2025-11-24T16:00:00Z listening <nil>
	// <nil>
	// true
}
