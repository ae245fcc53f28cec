package session_test

import (
	"context"
	"fmt"
	"time"

	"github.com/convkit/rediskit/session"
)

// All is for operators: it walks through all keys of the server.
func ExampleStore_All() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	calls, err := session.New[Call](rdb, session.Config{Key: "call:*", TTL: 5 * time.Minute})
	if err != nil {
		panic(err)
	}
	for i := range 3 {
		_ = calls.Put(ctx, fmt.Sprint("c", i), Call{SpeakerID: "user_1", Phase: Speaking, Turns: i})
	}
	rdb.HSet(ctx, "call:c9", "turns", "1") // another program left out what is required

	turns := 0
	for entry, err := range calls.All(ctx) {
		switch {
		case err == nil:
			turns += entry.Session.Turns
		case entry.ID != "": // the error is of this session alone
			fmt.Println(entry.ID, err)
		default: // Redis did not answer, and the walk ends
			fmt.Println(err)
		}
	}
	fmt.Println(turns, "turns")
	// Output:
	// c9 session: all call:*: corrupt: field SpeakerID is required and missing
	// 3 turns
}

// Count counts keys, those of corrupt sessions included.
func ExampleStore_Count() {
	ctx := context.Background()
	server, rdb := startRedis()
	defer server.Close()
	defer rdb.Close()

	calls, err := session.New[Call](rdb, session.Config{Key: "call:*", TTL: 5 * time.Minute})
	if err != nil {
		panic(err)
	}
	for i := range 3 {
		_ = calls.Create(ctx, fmt.Sprint("c", i), Call{SpeakerID: "user_1", Phase: Listening})
	}
	fmt.Println(calls.Count(ctx))
	// Output:
	// 3 <nil>
}
