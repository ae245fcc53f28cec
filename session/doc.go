// Package session keeps sessions in Redis: each is a hash under the id of one object, with
// a TTL that every change gives it anew.
//
//	type State string
//
//	const (
//		Waiting  State = "waiting_for_llm"
//		Answered State = "answered"
//	)
//
//	type Call struct {
//		SpeakerID    string    `redis:"speaker_id,required"`
//		State        State     `redis:"state,required"`
//		Turns        int       `redis:"turns"`
//		LastActivity time.Time `redis:"last_activity,touch"`
//	}
//
//	calls, err := session.New[Call](rdb, session.Config{Key: "session:*", TTL: 5 * time.Minute})
//	err = calls.Create(ctx, id, Call{SpeakerID: "user_1", State: Waiting})
//	call, err := calls.Touch(ctx, id)
//	call, err = calls.Update(ctx, id, func(c *Call) error { c.Turns++; return nil })
//
//	state, err := session.FieldOf[State](calls, "state")
//	call, err = state.Transition(ctx, id, Waiting, Answered)
//
// # What a session is
//
// A session is a struct. Each exported field is tagged with its name in the hash, or with
// "-" to leave it out. Texts are plain, so that programs in other languages may read and
// write them: a time.Time is Unix milliseconds, as of Date.now(), a time.Duration whole
// milliseconds, a bool true or false. Strings, integers, floats, []byte, types with
// MarshalText and UnmarshalText, and pointers to all of these can be held. An embedded
// struct gives its fields to the outer one. A nil pointer and a zero time are absent
// fields. Anything else is an error of New. After the name, a tag may have
//
//	required   a hash without it is ErrCorrupt, and it is not written without a value
//	omitempty  a zero value is an absent field
//	touch      the last activity, a time.Time that the store stamps; at most one
//
// Times are returned in UTC, without fractions of milliseconds.
//
// # What it guarantees
//
// Create, Put, Touch, Update, transitions and Delete are one script each. So there is no
// moment at which a session is half written or has no TTL. If another program left a hash
// without a TTL, the first change gives it one.
//
// No change brings an expired or deleted session back.
//
// Each change is made once, although replies get lost. The client never sends its script
// twice. If the reply is lost, the store sends a second copy. That one finds the record of
// the first, or makes the change in its place. A copy that arrives late finds the record
// of the other; after ten seconds, by the server's clock, it is refused. So an Update that
// adds one adds one. A transition that won is reported as won, and one that lost as lost.
// If the second reply is lost as well, or the server's clock has stepped, ErrUncertain says
// that the change was made once or not at all.
//
// Of all calls that try one transition at once, one succeeds. An Update is applied only if
// no program, in any language, wrote a field that S has since the session was read.
//
// With [Config.Replicas], a change is acknowledged once that many replicas have it. If
// fewer have it in time, the change stays made, and [ErrUnreplicated] says so; the new
// session is returned beside it. A call that changed nothing, as with ErrNotFound, ErrExists
// or ErrConflict, is never unreplicated, although it may take as long. A Delete that finds
// no session waits too: a replica may still have it.
//
// Only the server's clock stamps and ends sessions. The last activity never goes
// backwards. Config.MaxLifetime ends even the busiest session. Its end is kept in the hash,
// in the field _until: an HSET by another program leaves it, and a DEL removes it.
//
// # What it does not guarantee
//
// A session that was not replicated before a failover, or not on disk before a crash, is
// lost; so are the last changes of other sessions. [Config.Replicas] makes the first less
// likely. With a lower N than there are replicas that can be promoted, it is no guarantee:
// one that lacks the change may be promoted. Nor is it one if the primary and the replicas
// crash together: what a replica has acknowledged is in its memory. A Get may return a
// change that is not replicated yet.
//
// Under an eviction policy such as
// allkeys-lru Redis may evict sessions, and records of changes, whenever memory is short.
// Use a server with noeviction for them, as rediskit.Config.NoEviction requires.
//
// That a change is made once depends on the server's clock (TIME). One step of it, forward
// or back, by seconds or by days, makes no change twice, nor does a machine that is
// suspended between two copies. If a reply was lost and the clock has stepped by more than
// a second since, ErrUncertain says that the change was made once or not at all, unless
// the record of the first copy is there. Two steps may make a change twice: the first by
// more than 20 s forward, so that the record expires, the second back to where the clock
// was, both while a copy is on its way or about to be sent, and without a reply in between
// that shows the store one of them. After a step back, a copy that is on its way may be
// made once, as late as the clock was set back.
//
// A clock that differs from the client's does no harm, but the first change costs one more
// round trip, as does the first one after a step, and is uncertain if its reply is lost. On
// a Cluster whose primaries' clocks differ by seconds, that holds for many changes.
//
// Sessions end by the server's clock as well. A step forward by more than the TTL ends them
// all. After a step back, a session lasts longer by the step, until its next change gives
// it its TTL anew, and MaxLifetime is longer by the step.
//
// A Touch may be made twice, at most ten seconds apart. Touching twice is touching once, a
// little later.
//
// Get, All and the read of Update compare _until with the store's estimate of the server's
// clock. That estimate is this machine's clock until the store's first change. Two things
// follow. If another program's EXPIRE keeps a hash beyond _until, Get may still return it,
// for as long as the two clocks differ. And a machine whose clock is ahead takes sessions
// for ended too early, until that first change. Changes are not affected. The hash itself
// stays in Redis until a change finds it, and Count counts it until then.
//
// If another program writes a field with HSET, after the session expired and without
// looking, it makes a hash of that field alone. If it ends before its EXPIRE, that hash
// has no TTL. Get returns ErrCorrupt where a required field is missing, Create returns
// ErrExists, Put and Delete remove the hash.
//
// With a Cluster client that reads from replicas, a Get is as old as the replica's lag.
// Changes are not: they are made at the primary.
//
// While a slot moves to another primary of a Cluster, changes of its sessions may fail
// with TRYAGAIN. They were not made.
//
// # What lies beside a session
//
// The record of each change but Touch lies there for 30 s, about 200 bytes, in a key of its
// own: rediskit:op-<token>:{session:<id>}. Programs in other languages need not know it.
//
// # What the user needs
//
// +@scripting, +@connection, +hgetall +hset +hdel +exists +del +set +pexpire +time, for All
// and Count +scan, +wait with Replicas; the keys of the pattern and rediskit:*. Grant
// all of them: Redis checks each permission when the script comes to the command. A user
// that may HSET but not PEXPIRE leaves a session half changed.
package session
