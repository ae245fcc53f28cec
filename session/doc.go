// Package session keeps sessions in Redis, each a hash of plain text fields
// with a TTL, under the id of one object.
//
//	sessions, err := session.New[session.Conversation](rdb, session.Config{
//		Key: "session:*",
//		TTL: 5 * time.Minute,
//	})
//	err = sessions.Create(ctx, id, session.Conversation{SpeakerID: "user_1", StartedAt: now, State: session.WaitingForLLM})
//	...
//	state, err := session.FieldOf[session.State](sessions, "state")
//	c, err := state.Transition(ctx, id, session.WaitingForLLM, session.Answered)
//
// A session is any struct whose fields have redis tags: texts, numbers, bools,
// []byte, time.Time and time.Duration as whole milliseconds, what marshals as
// text, pointers to these (nil is an absent field), and embedded structs. The
// options required, omitempty and touch follow the name. New refuses what it
// cannot hold, and names the field.
//
// # What it guarantees
//
// No change brings back a session that has expired or was deleted, and none
// leaves a key without a TTL.
//
// A change is made exactly once: it is one script, sent with a mark of its
// own. If its reply is lost it is sent once more, and the mark tells whether
// the first copy ran. If that fails as well, the error is ErrUncertain.
//
// Update is exact, also against services in other languages that write the
// hash: it is applied only if the fields that it was made from still have the
// texts that were read, and is otherwise made again. Fields that S does not
// know are left alone. Of all transitions that leave one state at once,
// exactly one succeeds.
//
// The field tagged touch holds the server's time of the last change and never
// goes backwards. With Config.MaxLifetime no change prolongs a session beyond
// its absolute end, which is kept in the hash as _until.
//
// # What it does not guarantee
//
// Redis may lose sessions: at a restart without persistence, at a failover to
// a server that had not got them, by eviction. rediskit.Config.NoEviction
// refuses a server that evicts.
//
// All and Count look at keys one after another: they miss what moves in a
// resharding and show what has changed since.
package session
