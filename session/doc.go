// Package session keeps sessions in Redis: each a hash under the id of one
// object, with a TTL that every change slides.
//
//	type Call struct {
//		SpeakerID    string        `redis:"speaker_id,required"`
//		State        session.State `redis:"state,required"`
//		Turns        int           `redis:"turns"`
//		LastActivity time.Time     `redis:"last_activity,touch"`
//	}
//
//	calls, err := session.New[Call](rdb, session.Config{Key: "session:*", TTL: 5 * time.Minute})
//	err = calls.Create(ctx, id, Call{SpeakerID: "user_1", State: session.WaitingForLLM})
//	call, err := calls.Touch(ctx, id)
//	call, err = calls.Update(ctx, id, func(c *Call) error { c.Turns++; return nil })
//
//	state, err := session.FieldOf[session.State](calls, "state")
//	call, err = state.Transition(ctx, id, session.WaitingForLLM, session.Answered)
//
// # What a session is
//
// A struct, each of whose exported fields is tagged with its name in the hash,
// or with "-" to leave it out. Texts are plain, so that programs in other
// languages may read and write them: a time.Time is Unix milliseconds, as of
// Date.now(), a time.Duration whole milliseconds, a bool true or false. Strings,
// integers, floats, []byte, types with MarshalText and UnmarshalText, and
// pointers to all of these can be held; embedded structs give their fields to
// the outer one. A nil pointer and a zero time are absent fields. Anything else
// is an error of New. After the name in a tag there may be
//
//	required   a hash without it is ErrCorrupt, and it is not written without a value
//	omitempty  a zero value is an absent field
//	touch      the last activity, a time.Time that the store stamps; at most one
//
// Times come back in UTC, without fractions of milliseconds. Conversation is
// the session of the voice platform's services, ready made.
//
// # What it guarantees
//
// Create, Put, Touch, Update, transitions and Delete are one script each, so
// there is no moment at which a session is half written or has no TTL. A hash
// that a foreign service left without one gets it by the first change.
//
// No change brings an expired or deleted session back.
//
// Each change is made once, although replies get lost. Its script is never sent
// twice by the client. If its reply is lost, a second copy asks: it finds the
// first one's record, or takes its place. A copy that comes late meets the
// record of the other, and after ten seconds, by the server's clock, it is
// refused. So an Update that adds one adds one; a transition that won is told
// so, and one that lost is told that. If the second reply is lost as well,
// ErrUncertain says that the change was made once or not at all.
//
// Of all who try one transition at once, one succeeds. An Update is applied only
// if nobody, in any language, wrote a field that S has since it was read.
//
// Only the server's clock stamps and ends sessions. The last activity never goes
// backwards. Config.MaxLifetime ends even the busiest session; its end is kept in
// the hash, in the field _until, so that a foreign HSET leaves it and a foreign
// DEL takes it along.
//
// # What it does not guarantee
//
// Sessions that were not written to a replica before a failover, or to disk
// before a crash, are lost, the last changes of others as well. Under an
// eviction policy such as allkeys-lru Redis may evict sessions, and records of
// changes, whenever memory is short: use a server with noeviction for them, as
// rediskit.Config.NoEviction requires.
//
// That a change is made once depends on the server's clock (TIME) not being set
// back by more than 20 s within half a minute, failovers included. A clock that
// is ahead of or behind the client's does no harm, but the first change costs
// one round trip more, as it does after a step; on a Cluster whose masters'
// clocks differ by more than seconds, many do.
//
// A Touch may be made twice, at most ten seconds apart. Touching twice is
// touching once a little later.
//
// Get, All and the read of Update compare _until with what the store knows of the
// server's clock: this machine's, until the store's first change. So a foreign
// EXPIRE that outlasts _until fools no Get by more than the two differ, and no
// change at all; but the hash stays in Redis until a change finds it, and Count
// counts it. A machine whose clock is ahead takes sessions for ended too early
// until that first change.
//
// A service in another language that writes a field after its session has
// expired, with HSET and without asking, makes a hash of that field alone, and
// without a TTL if it dies before EXPIRE. Get says ErrCorrupt where a required
// field is missing; Create says ErrExists; Put and Delete clean up.
//
// With a Cluster client that reads from replicas, a Get is as old as the
// replica's lag. Changes are not: they look at the master.
//
// While a slot moves to another master of a Cluster, changes of its sessions
// may fail with TRYAGAIN. They were not made.
//
// # What lies beside a session
//
// For 30 s the record of each change but Touch, about 200 bytes, in a key of
// its own: rediskit:op-<token>:{session:<id>}. Foreign services need not know
// it.
//
// # What the user needs
//
// +@scripting, +@connection, +hget +hmget +hgetall +hlen +hset +hdel +exists
// +del +set +pexpire +time, for All and Count +scan; the keys of the pattern and
// rediskit:*. Grant all of them: Redis asks for each when a script comes to it,
// so that a user who may HSET but not PEXPIRE leaves a session half changed.
package session
