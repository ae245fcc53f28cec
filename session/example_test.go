package session_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/session"
)

// The session of the voice platform, which its services in TypeScript write
// with hset and expire.
func ExampleConversation() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()

	sessions, err := session.New[session.Conversation](rdb, session.Config{Key: "session:*", TTL: 5 * time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = sessions.Create(ctx, "c1", session.Conversation{
		SpeakerID: "user_1",
		StartedAt: time.UnixMilli(1764000000000),
		State:     session.WaitingForLLM,
	})
	fmt.Println(err, errors.Is(sessions.Create(ctx, "c1", session.Conversation{
		SpeakerID: "user_2", StartedAt: time.UnixMilli(1764000000001), State: session.Listening,
	}), session.ErrExists))

	fields := rdb.HGetAll(ctx, "session:c1").Val()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name != "last_activity" { // the server's time
			fmt.Println(name, fields[name])
		}
	}
	c, err := sessions.Touch(ctx, "c1")
	fmt.Println(c.SpeakerID, c.StartedAt.Format(time.RFC3339), c.State, err)
	// Output:
	// <nil> true
	// speaker_id user_1
	// started_at 1764000000000
	// state waiting_for_llm
	// user_1 2025-11-24T16:00:00Z waiting_for_llm <nil>
}

type Call struct {
	SpeakerID    string    `redis:"speaker_id,required"`
	Turns        int       `redis:"turns"`
	Interruption *string   `redis:"interruption"`
	LastActivity time.Time `redis:"last_activity,touch"`
}

// Update loses nothing of what others write meanwhile, and leaves alone what it
// does not know.
func ExampleStore_Update() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	calls, err := session.New[Call](rdb, session.Config{Key: "call:*", TTL: 5 * time.Minute, MaxLifetime: 2 * time.Hour})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = calls.Create(ctx, "c1", Call{SpeakerID: "user_1"})
	rdb.HSet(ctx, "call:c1", "codec", "opus") // another service's field

	word := "stop"
	call, err := calls.Update(ctx, "c1", func(c *Call) error {
		c.Turns++
		c.Interruption = &word
		return nil
	})
	fmt.Println(call.Turns, *call.Interruption, err)

	errTooMany := errors.New("too many turns")
	_, err = calls.Update(ctx, "c1", func(c *Call) error {
		if c.Turns >= 1 {
			return errTooMany // nothing is sent
		}
		c.Turns++
		return nil
	})
	fmt.Println(err)
	fmt.Println(rdb.HMGet(ctx, "call:c1", "turns", "interruption", "codec").Val())

	_, err = calls.Update(ctx, "c2", func(*Call) error { return nil })
	fmt.Println(errors.Is(err, session.ErrNotFound))
	// Output:
	// 1 stop <nil>
	// too many turns
	// [1 stop opus]
	// true
}

// Of all processes that want to answer, one does.
func ExampleField_Transition() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	sessions, err := session.New[session.Conversation](rdb, session.Config{Key: "session:*", TTL: 5 * time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	state, err := session.FieldOf[session.State](sessions, "state")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = sessions.Create(ctx, "c1", session.Conversation{SpeakerID: "user_1", StartedAt: time.Now(), State: session.WaitingForLLM})

	for range 2 {
		_, err := state.Transition(ctx, "c1", session.WaitingForLLM, session.Speaking)
		var conflict *session.ConflictError[session.State]
		switch {
		case errors.As(err, &conflict):
			fmt.Println("somebody else speaks: the state is", conflict.Now)
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println("speaking")
		}
	}
	// Output:
	// speaking
	// somebody else speaks: the state is speaking
}

func ExampleStore_All() {
	ctx := context.Background()
	rdb, stop := server()
	defer stop()
	calls, err := session.New[Call](rdb, session.Config{Key: "call:*", TTL: 5 * time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 3 {
		_ = calls.Put(ctx, fmt.Sprint("c", i), Call{SpeakerID: "user_1", Turns: i})
	}
	rdb.HSet(ctx, "call:c9", "turns", "1") // another service forgot the speaker

	turns := 0
	for entry, err := range calls.All(ctx) {
		switch {
		case err == nil:
			turns += entry.Session.Turns
		case entry.ID != "": // only this one is broken
			fmt.Println(err)
		default: // Redis does not answer, and the walk ends
			fmt.Println(err)
			return
		}
	}
	n, err := calls.Count(ctx)
	fmt.Println(turns, n, err)
	// Output:
	// session: all call:*: corrupt: field SpeakerID is required and missing
	// 3 4 <nil>
}

// server starts an embedded Redis. A service calls rediskit.Connect instead.
func server() (*redis.Client, func()) {
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		panic(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: mini.Addr()})
	return rdb, func() {
		rdb.Close()
		mini.Close()
	}
}
