package session_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/convkit/rediskit/session"
)

// Of all processes that try the same transition at once, one succeeds. The others
// learn which value the field has instead.
func ExampleField_Transition() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	calls, err := session.New[Call](rdb, session.Config{Key: "call:*", TTL: 5 * time.Minute})
	if err != nil {
		panic(err)
	}
	phase, err := session.FieldOf[Phase](calls, "phase")
	if err != nil {
		panic(err)
	}
	_ = calls.Create(ctx, "c1", Call{SpeakerID: "user_1", Phase: Thinking})

	for range 2 { // two processes have an answer to speak
		_, err := phase.Transition(ctx, "c1", Thinking, Speaking)
		var conflict *session.ConflictError[Phase]
		switch {
		case errors.As(err, &conflict):
			fmt.Println("another process was first: the phase is", conflict.Now)
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println("speak")
		}
	}
	// Output:
	// speak
	// another process was first: the phase is speaking
}
