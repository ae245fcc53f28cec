package session_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/convkit/rediskit/session"
)

// Update writes what fn has changed and leaves alone what other programs write. fn may
// run several times; its last run is applied, once.
func ExampleStore_Update() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	calls, err := session.New[Call](rdb, session.Config{Key: "call:*", TTL: 5 * time.Minute})
	if err != nil {
		panic(err)
	}
	_ = calls.Create(ctx, "c1", Call{SpeakerID: "user_1", Phase: Listening})
	rdb.HSet(ctx, "call:c1", "codec", "opus") // another program's field

	call, err := calls.Update(ctx, "c1", func(c *Call) error {
		c.Phase = Thinking
		c.Turns++
		return nil
	})
	fmt.Println(call.Phase, call.Turns, err)
	fmt.Println(rdb.HMGet(ctx, "call:c1", "phase", "turns", "codec").Val())

	_, err = calls.Update(ctx, "c2", func(*Call) error { return nil })
	fmt.Println(errors.Is(err, session.ErrNotFound))
	// Output:
	// thinking 1 <nil>
	// [thinking 1 opus]
	// true
}

// If fn returns an error, nothing is changed and Update returns that error.
func ExampleStore_Update_refused() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	calls, err := session.New[Call](rdb, session.Config{Key: "call:*", TTL: 5 * time.Minute})
	if err != nil {
		panic(err)
	}
	_ = calls.Create(ctx, "c1", Call{SpeakerID: "user_1", Phase: Listening, Turns: 20})

	errTooLong := errors.New("the call has too many turns")
	_, err = calls.Update(ctx, "c1", func(c *Call) error {
		if c.Turns++; c.Turns > 20 {
			return errTooLong
		}
		return nil
	})
	fmt.Println(err == errTooLong)
	call, err := calls.Get(ctx, "c1")
	fmt.Println(call.Turns, err)
	// Output:
	// true
	// 20 <nil>
}
