package session_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/convkit/rediskit/session"
)

// With Replicas, a change counts only once that many replicas have it. This server has
// none, so the change is made, and the caller learns that a failover may lose it. It goes
// on with the new session, and does not repeat the call: that would count the turn twice.
func ExampleReplicas() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	calls, err := session.New[Call](rdb, session.Config{
		Key: "call:*", TTL: 5 * time.Minute,
		Replicas: session.Replicas{N: 1, SkipTouch: true},
	})
	if err != nil {
		panic(err)
	}
	err = calls.Create(ctx, "c1", Call{SpeakerID: "user_1", Phase: Listening})
	fmt.Println(errors.Is(err, session.ErrUnreplicated))

	call, err := calls.Update(ctx, "c1", func(c *Call) error { c.Turns++; return nil })
	switch {
	case errors.Is(err, session.ErrUnreplicated):
		fmt.Println(call.Turns, "turn, which a failover may lose")
	case err != nil:
		fmt.Println(err) // call is the zero value
	default:
		fmt.Println(call.Turns, "turn, which a replica has")
	}

	_, err = calls.Touch(ctx, "c1") // does not wait for replicas
	fmt.Println(err, calls.Stats().Unreplicated)
	// Output:
	// true
	// 1 turn, which a failover may lose
	// <nil> 2
}
